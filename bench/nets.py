"""The reference networks, as a PyTorch user would write them. hubel's zoo has the same networks under the same names (except `small`)."""
import torch.nn as nn


def conv_relu(inputs, outputs, batch_norm=False):
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    return layers + [nn.ReLU()]


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def mnist_cnn():
    return nn.Sequential(
        *conv_relu(1, 32), *conv_relu(32, 32), nn.MaxPool2d(2),
        *conv_relu(32, 64), *conv_relu(64, 64), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


def tutorial():
    """Conv-ReLU-Conv-ReLU-Pool three times, then fully connected: the network of the tutorial."""
    return nn.Sequential(
        *conv_relu(3, 32), *conv_relu(32, 32), nn.MaxPool2d(2),
        *conv_relu(32, 64), *conv_relu(64, 64), nn.MaxPool2d(2),
        *conv_relu(64, 128), *conv_relu(128, 128), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128 * 4 * 4, 10))


def vgg16():
    """VGG-16 with batch normalisation for 32×32 pictures."""
    layers, channels = [], 3
    for width in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += conv_relu(channels, width, batch_norm=True)
            channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def resnet18():
    from torchvision.models import resnet18
    return resnet18(num_classes=10)


def mobilenet_v2():
    from torchvision.models import mobilenet_v2
    return mobilenet_v2(num_classes=10)


def efficientnet_lite0():
    from efficientnet_lite_pytorch import EfficientNet
    return EfficientNet.from_name("efficientnet-lite0", num_classes=10)


# The network of scaling.py, in hubel's words and in PyTorch's: any size of image will do.
SMALL = ("conv(32, padding=1)-relu-conv(32, padding=1)-relu-pool-conv(64, padding=1)-relu-conv(64, padding=1)-relu-pool"
         "-globalavgpool-flatten-linear(classes)")


def small():
    return nn.Sequential(
        *conv_relu(3, 32), *conv_relu(32, 32), nn.MaxPool2d(2),
        *conv_relu(32, 64), *conv_relu(64, 64), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


# name: (constructor, batch, (channels, height, width))
NETS = {
    "lenet5": (lenet5, 64, (1, 28, 28)),
    "mnist-cnn": (mnist_cnn, 128, (1, 28, 28)),
    "tutorial": (tutorial, 128, (3, 32, 32)),
    "vgg16": (vgg16, 64, (3, 32, 32)),
    "resnet18": (resnet18, 16, (3, 224, 224)),
    "mobilenet-v2": (mobilenet_v2, 16, (3, 224, 224)),
    "efficientnet-lite0": (efficientnet_lite0, 16, (3, 224, 224)),
    "small": (small, 64, (3, 32, 32)),
}
