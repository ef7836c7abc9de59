"""Makes what the notebooks of fast.ai's book download: small data sets where untar_data finds them, and weights of the right shape
in the caches of fastai and PyTorch.

    course-data.py PICTURES    folders of pictures, by class: one is taken for cats, the other for dogs
"""

import csv
import pickle
import random
import sys
from pathlib import Path

import numpy
import torch
import torchvision
from fastai.data.external import URLs, fastai_path
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import get_language_model
from PIL import Image

rng = random.Random(1)


def new_folder(url: str, kind: str = "data", inner: str = "") -> Path:
    folder = fastai_path(kind) / Path(url).stem / inner
    folder.mkdir(parents=True)
    return folder


def pets(pictures: Path) -> None:
    out = new_folder(URLs.PETS, inner="images")
    # The names of cats begin with a capital.
    for shape, breed in (("circle", "Siamese"), ("triangle", "beagle")):
        # Four fifths of both are a batch of 64 to train on.
        for number, path in enumerate(sorted((pictures / shape).glob("*.png"))[:41], 1):
            Image.open(path).save(out / f"{breed}_{number}.jpg")


def streets() -> None:
    images, labels = new_folder(URLs.CAMVID_TINY, inner="images"), new_folder(URLs.CAMVID_TINY, inner="labels")
    (images.parent / "codes.txt").write_text("Road\nSky\nVoid\n")
    for number in range(10):
        mask = numpy.zeros((64, 96), dtype=numpy.uint8)
        mask[: rng.randint(20, 40)] = 1
        Image.fromarray(numpy.stack([mask * 100 + 80] * 3, axis=2)).save(images / f"street_{number}.png")
        Image.fromarray(mask).save(labels / f"street_{number}_P.png")


REVIEW = {"neg": "I was bored by this dull film , the plot was weak", "pos": "I liked this great film , the actors were fine"}


def reviews() -> None:
    for part in ("train", "test"):
        for mood, text in REVIEW.items():
            folder = new_folder(URLs.IMDB, inner=f"{part}/{mood}")
            for number in range(20):
                (folder / f"{number}.txt").write_text(" ".join(rng.sample(text.split(), 8)))


def table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def adults() -> None:
    words = {
        "workclass": ["Private", "State-gov"],
        "education": ["Bachelors", "HS-grad"],
        "marital-status": ["Divorced", "Never-married"],
        "occupation": ["Sales", "Tech-support"],
        "relationship": ["Husband", "Wife"],
        "race": ["White", "Black"],
    }
    numbers = {"age": 90, "fnlwgt": 300_000, "education-num": 16}
    rows = [
        {name: rng.choice(values) for name, values in words.items()}
        | {name: rng.randint(1, most) for name, most in numbers.items()}
        | {"salary": rng.choice(["<50k", ">=50k"])}
        for _ in range(300)
    ]
    rows[0]["education-num"] = ""  # for FillMissing
    table(new_folder(URLs.ADULT_SAMPLE) / "adult.csv", rows)


def ratings() -> None:
    rows = [
        {"userId": user, "movieId": film, "rating": rng.randint(1, 10) / 2, "timestamp": 0}
        for user in range(30)
        for film in rng.sample(range(50), 12)
    ]
    table(new_folder(URLs.ML_SAMPLE) / "ratings.csv", rows)


def weights() -> None:
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(
        torchvision.models.resnet34().state_dict(),
        checkpoints / Path(torchvision.models.ResNet34_Weights.DEFAULT.url).name,
    )
    vocabulary = sorted({"xxunk", "xxpad", *" ".join(REVIEW.values()).lower().split()})
    out = new_folder(URLs.WT103_FWD, "model")
    torch.save(get_language_model(AWD_LSTM, len(vocabulary)).state_dict(), out / "weights.pth")
    (out / "vocabulary.pkl").write_bytes(pickle.dumps(vocabulary))


if __name__ == "__main__":
    torch.manual_seed(1)
    pets(Path(sys.argv[1]))
    streets()
    reviews()
    adults()
    ratings()
    weights()
