import torch

# Tests use nets so small that a second thread costs more than it gives, most of all on a busy machine.
torch.set_num_threads(1)
