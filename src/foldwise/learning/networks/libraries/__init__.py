"""Networks by name: from timm, segmentation-models-pytorch and torchvision, and a user's own."""
