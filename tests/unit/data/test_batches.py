import torch

from vgg_lit.data.balancing import REPEAT
from vgg_lit.data.batches import ResidentBatches
from vgg_lit.data.orders import PADDING, EvaluationOrder, TrainingOrder


def resident(n, order, ids=None):
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2).contiguous()
    ids = torch.arange(n) if ids is None else ids
    return ResidentBatches(images, torch.arange(n) % 3, ids, order)


def epoch_ids(loader, epoch=0):
    loader.sampler.set_epoch(epoch)
    return [ids.tolist() for _, _, ids in loader]


def test_batches_contain_the_images_and_labels_of_their_ids():
    ids = torch.tensor([20, 3, 7, 11, 2])
    loader = resident(30, EvaluationOrder(5, 2, 1, 2), ids)
    batches = list(loader)
    assert [ids.tolist() for _, _, ids in batches] == [[3], [11], [PADDING]]
    for images, labels, batch_ids in batches:
        assert images.dtype == torch.uint8
        assert images.shape == (1, 1, 2, 2)
        if batch_ids.item() == PADDING:
            assert labels.item() == PADDING
        else:
            assert images[0, 0, 0, 0] == batch_ids.item()
            assert labels.item() == batch_ids.item() % 3


def test_reading_given_positions_does_not_change_the_state():
    loader = resident(30, EvaluationOrder(5, 2), torch.tensor([20, 3, 7, 11, 2]))
    batches = list(loader.at(torch.tensor([4, 0, 4])))
    assert [ids.tolist() for _, _, ids in batches] == [[2, 20], [2]]
    assert [images.flatten().tolist()[::4] for images, _, _ in batches] == [[2, 20], [2]]
    assert loader.state_dict()["batches"] == 0


def test_resume_continues_with_the_next_batch():
    loader = resident(40, TrainingOrder(40, 8, 0))
    loader.sampler.set_epoch(3)
    iterator = iter(loader)
    expected = [next(iterator)[2].tolist() for _ in range(5)]
    for done in range(5):
        loader.sampler.set_epoch(3)
        iterator = iter(loader)
        for _ in range(done):
            next(iterator)
        state = loader.state_dict()
        if done == 0:
            continue  # nothing of this epoch was read: the state is still that of the last epoch
        resumed = resident(40, TrainingOrder(40, 8, 0))
        resumed.load_state_dict(state)
        iter(resumed)  # Lightning creates an extra iterator
        assert epoch_ids(resumed, 3) == expected[done:]
        assert epoch_ids(resumed, 3) == expected  # resumes only once
        assert all(type(value) is int for value in state.values())


def test_a_complete_epoch_is_not_resumed():
    loader = resident(40, TrainingOrder(40, 8, 0))
    first = epoch_ids(loader, 0)
    second = epoch_ids(loader, 1)
    assert first != second
    resumed = resident(40, TrainingOrder(40, 8, 0))
    epoch_ids(loader, 0)
    resumed.load_state_dict(loader.state_dict())
    assert epoch_ids(resumed, 1) == second


def test_a_balanced_order_repeats_images_with_other_ids():
    labels = torch.tensor([0] * 27 + [1] * 3)
    images = torch.arange(30, dtype=torch.uint8).view(30, 1, 1, 1).expand(30, 1, 2, 2).contiguous()

    def batches(rank, world_size, batch_size):
        order = TrainingOrder(30, batch_size, 0, rank, world_size, balanced_by=labels)
        return list(ResidentBatches(images, labels, torch.arange(30), order))

    whole = batches(0, 1, 10)
    ids = torch.cat([ids_B for _, _, ids_B in whole])
    assert len(set(ids.tolist())) == 30
    for images_BCHW, labels_B, ids_B in whole:
        assert torch.equal(images_BCHW[:, 0, 0, 0].long(), ids_B % REPEAT)
        assert torch.equal(labels_B, labels[ids_B % REPEAT])
    assert sum(labels_B.sum() for _, labels_B, _ in whole) == 15
    ranks = [batches(rank, 2, 10) for rank in (0, 1)]
    for (_, _, all_B), (_, _, first_B), (_, _, second_B) in zip(whole, *ranks, strict=True):
        assert torch.equal(all_B, torch.cat([first_B, second_B]))


def test_ids_of_a_second_split_follow_those_of_the_first():
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    order = EvaluationOrder(3, 2, 1, 2)  # ends with a padding
    loader = ResidentBatches(images, torch.arange(5), torch.tensor([4, 0, 2]), order, 100)
    assert epoch_ids(loader) == [[100], [PADDING]]
