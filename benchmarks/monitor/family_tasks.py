"""The tasks of `family_cells.py`, made here or of a folder of texts."""

import csv
import functools
import math
from pathlib import Path

import torch
from small_models import package_model
from torch.utils.data import Dataset
from transformers import AutoTokenizer

VOCAB, LENGTH, CLASSES = 64, 16, 4
TOPICS = ("exchange", "top_up", "transfer", "cash", "pin", "fee", "card")
_MAX_WORDS = 12


class Rows(Dataset):  # type: ignore[type-arg]  # torch leaves it untyped
    """Samples of tensors, by their names."""

    def __init__(self, columns: dict[str, torch.Tensor]):
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index] for name, values in self.columns.items()}

    def part(self, start: int, end: int) -> "Rows":
        return Rows({name: values[start:end] for name, values in self.columns.items()})


def make_chain(rows: int, draw: torch.Generator, sharpness: int = 8) -> torch.Tensor:
    """Return sequences in which each token depends on the one before, as in a text."""
    table = torch.rand(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1)).pow(sharpness)
    tokens = [torch.randint(2, VOCAB, (rows,), generator=draw)]
    for _ in range(LENGTH - 1):
        tokens.append(torch.multinomial(table[tokens[-1]], 1, generator=draw)[:, 0])
    return torch.stack(tokens, 1)


def majority(rows: int, draw: torch.Generator) -> Rows:
    """The class whose tokens are the most frequent."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    counts = torch.stack([(tokens % CLASSES == each).sum(1) for each in range(CLASSES)], 1)
    return Rows({"input_ids": tokens, "labels": counts.argmax(1)})


def leading(rows: int, draw: torch.Generator) -> Rows:
    """The class of the first token, with one label in eight drawn at random."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    noise = torch.randint(0, CLASSES, (rows,), generator=draw)
    is_noise = torch.rand(rows, generator=draw) < 1 / 8
    return Rows({"input_ids": tokens, "labels": torch.where(is_noise, noise, tokens[:, 0] % CLASSES)})


def tags(rows: int, draw: torch.Generator) -> Rows:
    """Of each token, whether it and the one before are of one half each; one tag in eight is drawn at random."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    labels = (tokens % 2) * 2 + torch.roll(tokens, 1, 1) % 2
    is_noise = torch.rand(tokens.shape, generator=draw) < 1 / 8
    return Rows({"input_ids": tokens, "labels": torch.where(is_noise, tokens % CLASSES, labels)})


def markov(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_chain(rows, draw)
    return Rows({"input_ids": tokens, "labels": tokens})


def masked(rows: int, draw: torch.Generator) -> Rows:
    tokens = make_chain(rows, draw, sharpness=40)
    is_masked = torch.rand(tokens.shape, generator=draw) < 0.15
    is_masked[:, 5] = True  # no sample without a masked token
    return Rows({"input_ids": tokens.masked_fill(is_masked, 1), "labels": tokens.masked_fill(~is_masked, -100)})


def reversal(rows: int, draw: torch.Generator) -> Rows:
    """A chain of tokens, to be written backwards."""
    tokens = make_chain(rows, draw)
    return Rows({"input_ids": tokens, "labels": tokens.flip(1)})


def waves(rows: int, draw: torch.Generator) -> Rows:
    """A standardized target that swings along one direction and bends along another."""
    x = torch.randn(rows, 8, generator=draw)
    first, second = torch.randn(2, 8, generator=torch.Generator().manual_seed(3)) / math.sqrt(8)
    y = torch.sin(2 * x @ first) + 0.5 * (x @ second).square() + 0.2 * torch.randn(rows, generator=draw)
    return Rows({"x": x, "labels": y - 0.5})


def forecast(rows: int, draw: torch.Generator) -> Rows:
    """The next value of a noisy sum of two oscillations."""
    time = torch.arange(25.0)
    speed = 0.2 + 0.8 * torch.rand(2, rows, 1, generator=draw)
    phase = 2 * math.pi * torch.rand(2, rows, 1, generator=draw)
    series = torch.sin(speed * time + phase).sum(0) + 0.1 * torch.randn(rows, 25, generator=draw)
    return Rows({"x": series[:, :-1], "labels": series[:, -1]})


def spirals(rows: int, draw: torch.Generator) -> Rows:
    """Two interleaved spirals of half a turn in ten columns, eight of them noise."""
    angle, label = math.pi * torch.rand(rows, generator=draw), torch.randint(0, 2, (rows,), generator=draw)
    x = 0.5 * torch.randn(rows, 10, generator=draw)
    x[:, 0], x[:, 1] = angle * torch.cos(angle + math.pi * label), angle * torch.sin(angle + math.pi * label)
    return Rows({"x": x, "labels": label})


def stripes(rows: int, draw: torch.Generator) -> Rows:
    """Noisy pictures of 8 x 8 with a stripe in one of four directions."""
    label = torch.randint(0, 4, (rows,), generator=draw)
    shift = torch.randint(0, 8, (rows,), generator=draw)
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    lines = torch.stack([row, column, row + column, row - column])[label]
    picture = ((lines - shift[:, None, None]) % 8 == 0).float() + 0.7 * torch.randn(rows, 8, 8, generator=draw)
    return Rows({"x": picture.flatten(1), "labels": label})


def noisy_stripes(rows: int, draw: torch.Generator) -> Rows:
    """The same pictures, to be freed of further noise."""
    clean = stripes(rows, draw).columns["x"]
    return Rows({"x": clean + 0.5 * torch.randn(clean.shape, generator=draw), "labels": clean})


def pairs(rows: int, draw: torch.Generator) -> Rows:
    """A vector and a noisy, mixed copy of it, for a contrastive loss."""
    x = torch.randn(rows, 16, generator=draw)
    mix = torch.randn(16, 16, generator=torch.Generator().manual_seed(2)) / 4
    return Rows({"x": x, "labels": torch.tanh(x @ mix) + 0.1 * torch.randn(rows, 16, generator=draw)})


def checkers(rows: int, draw: torch.Generator) -> Rows:
    """The colour of a point's square on a board of 2 x 3, in four columns, two of them noise."""
    x = torch.randn(rows, 4, generator=draw)
    x[:, :2] = torch.tensor([2.0, 3.0]) * torch.rand(rows, 2, generator=draw)
    return Rows({"x": x, "labels": x[:, :2].floor().sum(1).long() % 2})


def flags(rows: int, draw: torch.Generator) -> Rows:
    """Twelve marks of a sample, each for a noisy product of two of its columns that is high."""
    x = torch.randn(rows, 12, generator=draw)
    noise = 0.3 * torch.randn(rows, 12, generator=draw)
    return Rows({"x": x, "labels": (x * torch.roll(x, 1, 1) + noise > 0.3).float()})


def peaks(rows: int, draw: torch.Generator) -> Rows:
    """A target with a mean of 2 and a deviation of 3: a hill above a plane, in six columns."""
    x = torch.randn(rows, 6, generator=draw)
    hill = torch.exp(-(x[:, 0] - 1).square() - x[:, 1].square())
    return Rows({"x": x, "labels": 1 + 5 * hill + 2 * x[:, 2] - x[:, 3] + torch.randn(rows, generator=draw)})


def ranges(rows: int, draw: torch.Generator) -> Rows:
    """The distance between the least and the greatest of twelve numbers, standardized."""
    x = torch.randn(rows, 12, generator=draw)
    return Rows({"x": x, "labels": (x.amax(1) - x.amin(1) - 3.26) / 0.78})


def tones(rows: int, draw: torch.Generator) -> Rows:
    """Which of five tones sounds in noise."""
    label = torch.randint(0, 5, (rows,), generator=draw)
    angle = torch.arange(32.0) * (0.4 + 0.25 * label)[:, None] + 6.3 * torch.rand(rows, 1, generator=draw)
    return Rows({"x": torch.sin(angle) + torch.randn(rows, 32, generator=draw), "labels": label})


def blobs(rows: int, draw: torch.Generator) -> Rows:
    """How many bright spots, one to four, a noisy picture of 12 x 12 has; two may overlap."""
    label = torch.randint(0, 4, (rows,), generator=draw)
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    centers = 1 + 9 * torch.rand(rows, 4, 2, 1, 1, generator=draw)
    spots = torch.exp(-((row - centers[:, :, 0]).square() + (column - centers[:, :, 1]).square()))
    is_there = torch.arange(4) <= label[:, None]
    picture = (spots * is_there[..., None, None]).sum(1) + 0.15 * torch.randn(rows, 12, 12, generator=draw)
    return Rows({"x": picture.flatten(1), "labels": label})


def rare(rows: int, draw: torch.Generator) -> Rows:
    """Whether few, some or many tokens of a sequence are among the first quarter; the classes are not equally frequent."""
    share = torch.rand(rows, 1, generator=draw)
    is_low = torch.rand(rows, LENGTH, generator=draw) < share
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    tokens = torch.where(is_low, tokens // 4, tokens)
    count = (tokens < VOCAB // 4).sum(1)
    return Rows({"input_ids": tokens, "labels": (count > 6).long() + (count > 13).long()})


def records(rows: int, draw: torch.Generator) -> Rows:
    """Of each token, whether it is higher than all before it, than most of them, or neither: three tags."""
    tokens = torch.randint(0, VOCAB, (rows, LENGTH), generator=draw)
    highest = torch.cummax(tokens, 1).values
    return Rows({"input_ids": tokens, "labels": (tokens >= highest).long() + (tokens > 3 * highest // 4).long()})


def sums(rows: int, draw: torch.Generator) -> Rows:
    """Sequences in which each token is the sum of the two before it, of 16; one in ten is drawn at random."""
    noise = torch.randint(0, 16, (rows, LENGTH), generator=draw)
    is_noise = torch.rand(rows, LENGTH, generator=draw) < 0.1
    tokens = [noise[:, 0], noise[:, 1]]
    for place in range(2, LENGTH):
        tokens.append(torch.where(is_noise[:, place], noise[:, place], (tokens[-1] + tokens[-2]) % 16))
    return Rows({"input_ids": torch.stack(tokens, 1), "labels": torch.stack(tokens, 1)})


def sorting(rows: int, draw: torch.Generator) -> Rows:
    """Eight tokens, to be written in order."""
    tokens = torch.randint(2, VOCAB, (rows, 8), generator=draw)
    return Rows({"input_ids": tokens, "labels": tokens.sort(1).values})


class Texts:
    """The texts of Banking77 or SST-2 as tokens: the 1,500 most frequent ones, a place for all others, one for a mask, 0 for none."""

    def __init__(self, data: Path, corpus: str):
        with (data / corpus / "train.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        tokenizer, column = AutoTokenizer.from_pretrained(package_model()), next(iter(rows[0]))
        found = tokenizer([row[column] for row in rows], truncation=True, max_length=_MAX_WORDS)["input_ids"]
        counts: dict[int, int] = {}
        for token in (token for each in found for token in each):
            counts[token] = counts.get(token, 0) + 1
        frequent = sorted(counts, key=lambda token: (-counts[token], token))[:1500]
        #: The tokenizer's number of each place.
        self.tokens = [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id, *frequent]
        place = {token: index for index, token in enumerate(self.tokens)}
        ids = [[place.get(token, 1) for token in each] for each in found]
        self.ids = torch.tensor([each + [0] * (_MAX_WORDS - len(each)) for each in ids])
        self.names = sorted({row["label"] for row in rows})
        self.intents = torch.tensor([self.names.index(row["label"]) for row in rows])
        words = tokenizer.convert_ids_to_tokens(self.tokens)
        self.letters = torch.tensor([len(word.strip("#")) for word in words])

    def pick(self, rows: int, draw: torch.Generator) -> torch.Tensor:
        return torch.randperm(len(self.ids), generator=draw)[torch.arange(rows) % len(self.ids)]


@functools.cache
def read_texts(data: Path, corpus: str) -> Texts:
    return Texts(data, corpus)


def _with_mask(ids: torch.Tensor, **others: torch.Tensor) -> Rows:
    return Rows({"input_ids": ids, "attention_mask": (ids != 0).long(), **others})


def topics(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """What a question is about: the first of these words that its intent's name holds, or none of them."""
    topic = [next((i for i, word in enumerate(TOPICS, 1) if word in name), 0) for name in texts.names]
    index = texts.pick(rows, draw)
    return _with_mask(texts.ids[index], labels=torch.tensor(topic)[texts.intents[index]])


def sentiments(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    index = texts.pick(rows, draw)
    return _with_mask(texts.ids[index], labels=texts.intents[index])


def word_lengths(rows: int, draw: torch.Generator, texts: Texts) -> Rows:
    """Of each token, whether the one before it is longer."""
    ids = texts.ids[texts.pick(rows, draw)]
    longer = (texts.letters[torch.roll(ids, 1, 1)] > texts.letters[ids]).long()
    return _with_mask(ids, labels=longer.masked_fill(ids == 0, -100))
