"""Settings of a training on a folder of few pictures."""


def folder_options(folder, *more):
    """All images of a folder, in small batches, decoded in this process; `more` comes last."""
    return (
        "data=image_folder",
        f"data.root={folder}",
        "data.train_size=null",
        "data.test_size=null",
        "data.batch_size=8",
        "data.val_fraction=0.2",
        "data.source.num_workers=0",
        *more,
    )
