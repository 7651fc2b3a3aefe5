"""Write the demo data of the recipes for entities, questions, plain texts and pairs: sentences from templates and word lists.

    python examples/data/generate.py

The same files every time. The messages in `messages/` were written by hand; they are not made here.
"""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent

FIRST = [
    "Amara",
    "Bruno",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hana",
    "Ivo",
    "Jasmin",
    "Kofi",
    "Lena",
    "Mateo",
    "Nadia",
    "Oskar",
    "Priya",
    "Quentin",
    "Rosa",
    "Samir",
    "Tomoko",
    "Uma",
    "Viktor",
    "Wanjiru",
    "Xavier",
    "Yara",
    "Zoltan",
    "Florence",
    "Austin",
    "Sofia",
    "Victoria",
]
LAST = [
    "Abara",
    "Bergstrom",
    "Castellano",
    "Dubois",
    "Eriksen",
    "Fontaine",
    "Grabowski",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kimura",
    "Lindqvist",
    "Moreau",
    "Nakata",
    "Okafor",
    "Petrov",
    "Quiroga",
    "Rahimi",
    "Santos",
    "Tanaka",
    "Ueda",
    "Varga",
    "Weber",
    "Yilmaz",
    "Zhou",
    "Lincoln",
    "Hamilton",
    "Sydney",
    "Orlando",
    "Holland",
]
CITY = [
    "Aarhus",
    "Bergen",
    "Cusco",
    "Dakar",
    "Esfahan",
    "Florence",
    "Ghent",
    "Hobart",
    "Izmir",
    "Jaipur",
    "Kyoto",
    "Leipzig",
    "Mombasa",
    "Nantes",
    "Oaxaca",
    "Porto",
    "Quito",
    "Riga",
    "Sofia",
    "Turku",
    "Utrecht",
    "Valparaiso",
    "Windhoek",
    "Yerevan",
    "Zagreb",
    "Austin",
    "Victoria",
    "Hamilton",
    "Sydney",
    "Orlando",
]
COUNTRY = [
    "Denmark",
    "Peru",
    "Senegal",
    "Belgium",
    "Japan",
    "Kenya",
    "France",
    "Ecuador",
    "Latvia",
    "Bulgaria",
    "Finland",
    "Namibia",
    "Armenia",
    "Croatia",
    "Portugal",
    "Chile",
    "India",
    "Mexico",
    "Norway",
    "Tasmania",
]
STEM = [
    "Northwind",
    "Bluestone",
    "Halden",
    "Meridian",
    "Copperfield",
    "Larkspur",
    "Ostara",
    "Pinewood",
    "Quillon",
    "Redwater",
    "Silverline",
    "Tamarind",
    "Umbra",
    "Vantage",
    "Westmark",
    "Zephyr",
    "Amberley",
    "Brightwater",
    "Corvus",
    "Dunmore",
]
KIND = [
    "Logistics",
    "Instruments",
    "Bank",
    "Airlines",
    "Foundation",
    "Press",
    "Motors",
    "Robotics",
    "Institute",
    "Shipping",
    "Optics",
    "Foods",
]
MONTH = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]

#: {P}: a person, {O}: an organization, {L}: a place. The rest are words.
ENTITY_TEMPLATES = """
{P} joined {O} in {L} last spring .
{O} has opened a second office in {L} .
The talks between {O} and {O} ended without a result .
{P} and {P} were seen in {L} on Friday .
According to {P} , the ferry from {L} to {L} no longer runs .
" We will not leave {L} , " said {P} of {O} .
{O} named {P} as its new director .
Shares of {O} fell after {P} resigned .
{P} was born in {L} and studied in {L} .
In {L} , the rain stopped at noon .
The exhibition by {P} moves from {L} to {L} in autumn .
{O} denies that it bought land near {L} .
Workers of {O} went on strike in {L} and {L} .
The letter to {P} came back from {L} unopened .
Nobody at {O} answered the phone .
{P} , who once worked for {O} , now teaches children .
A train from {L} arrived two hours late .
The mayor of {L} thanked {P} for the gift .
{O} and the city of {L} share the cost of the bridge .
Her brother {P} lives in {L} , near the harbour .
The new map shows {L} north of the lake .
After the match in {L} , {P} signed shirts for an hour .
{P} lost to {P} in three sets .
The factory belongs to {O} since {P} sold it .
It was {P} who wrote the report for {O} .
Prices for bread rose in {L} , but not in {L} .
{L} expects more visitors than last year .
The court in {L} heard {P} for six hours .
{O} will publish the memoirs of {P} .
From {L} , {P} took a bus to the border of {L} .
Researchers at {O} have tested the vaccine in {L} .
Neither {P} nor {O} wanted to comment .
The weather was fine and the shops were open .
Doctor {P} moved her practice to {L} .
{O} cancelled all flights to {L} until Monday .
The museum keeps a portrait of {P} .
Tickets are sold by {O} and at the station in {L} .
Old friends of {P} met in a small cafe .
{P} asked {O} for a copy of the contract .
They sailed from {L} under the flag of {L} .
""".strip().splitlines()

#: What a paragraph may say about a thing, and what one may ask about it. {n} is the thing; the answer is marked by [ ].
FACTS = {
    "built": (
        ["{n} was built in [{year}].", "It was completed in [{year}].", "Work on {n} ended in [{year}]."],
        ["When was {n} built?", "In which year was {n} completed?"],
    ),
    "designer": (
        ["It was designed by [{person}].", "The plans for {n} came from [{person}].", "[{person}] was its architect."],
        ["Who designed {n}?", "Who was the architect of {n}?"],
    ),
    "place": (
        [
            "{n} stands in [{city}], close to the old market.",
            "One finds it in [{city}].",
            "It is a landmark of [{city}].",
        ],
        ["Where is {n}?", "In which city does {n} stand?"],
    ),
    "length": (
        [
            "It is [{number} metres] long.",
            "From end to end it measures [{number} metres].",
            "Its length is [{number} metres].",
        ],
        ["How long is {n}?", "What is the length of {n}?"],
    ),
    "material": (
        ["The walls are of [{material}].", "Most of it is made of [{material}].", "Its builders used [{material}]."],
        ["What is {n} made of?", "Which material was used for {n}?"],
    ),
    "owner": (
        [
            "It belongs to [{company}].",
            "Since the reform, [{company}] owns {n}.",
            "[{company}] bought it at an auction.",
        ],
        ["Who owns {n}?", "To whom does {n} belong?"],
    ),
    "cost": (
        ["The work cost [{cost} thousand crowns].", "It was paid for with [{cost} thousand crowns]."],
        ["How much did {n} cost?", "What was paid for {n}?"],
    ),
    "repair": (
        ["After [{cause}], it had to be repaired.", "It was closed for a year because of [{cause}]."],
        ["Why was {n} repaired?", "What damaged {n}?"],
    ),
}
FILLERS = [
    "Visitors come mostly in summer.",
    "A small shop sells postcards.",
    "On Mondays it is closed.",
    "Locals call it by a shorter name.",
    "A film was shot there.",
    "In winter the paths are icy.",
    "Entry is free for children.",
    "A painting of it hangs in the town hall.",
]
INTRODUCTIONS = [
    "{n} is known far beyond the region.",
    "{n} appears in many guidebooks.",
    "{n} is older than most of its neighbours.",
    "{n} has had a changing history.",
    "{n} is under protection today.",
]
THINGS = [
    "bridge",
    "tower",
    "library",
    "station",
    "theatre",
    "mill",
    "lighthouse",
    "aqueduct",
    "observatory",
    "warehouse",
]
MATERIALS = ["grey granite", "red brick", "oak", "cast iron", "limestone", "reinforced concrete", "sandstone", "larch"]
CAUSES = [
    "a flood",
    "a fire in the roof",
    "an earthquake",
    "years of neglect",
    "a collision with a barge",
    "a hard frost",
]

#: Two ways to say the same. The words in braces are exchanged.
PAIR_TEMPLATES = [
    ("A {who} is {doing} {where}.", "{Where}, a {who} is {doing}."),
    ("The {who} was {doing} {where}.", "There was a {who} {doing} {where}."),
    ("Somewhere {where}, a {who} keeps {doing}.", "A {who} does not stop {doing} {where}."),
]
WHO = [
    "man",
    "woman",
    "child",
    "dog",
    "nurse",
    "farmer",
    "musician",
    "cook",
    "student",
    "old lady",
    "police officer",
    "painter",
]
DOING = [
    "singing",
    "running",
    "sleeping",
    "reading a letter",
    "eating an apple",
    "waiting",
    "dancing",
    "repairing a bicycle",
    "laughing",
    "looking at the sky",
    "carrying a box",
    "drinking tea",
]
WHERE = [
    "in the park",
    "on the beach",
    "at the station",
    "behind the house",
    "in a kitchen",
    "near the river",
    "on a roof",
    "in the snow",
    "at the market",
    "under a tree",
]


def make_entities(source: random.Random, count: int, names: slice) -> Iterator[list[tuple[str, str]]]:
    """Yield sentences of words and tags. `names` is the part of the lists of names that is used."""
    for index in range(count):
        template = ENTITY_TEMPLATES[index % len(ENTITY_TEMPLATES)]
        sentence = []
        for word in template.split():
            kind = {"{P}": "PER", "{O}": "ORG", "{L}": "LOC"}.get(word)
            if kind is None:
                sentence.append((word, "O"))
                continue
            for position, part in enumerate(make_name(source, kind, names).split()):
                sentence.append((part, f"{'I' if position else 'B'}-{kind}"))
        yield sentence


def make_name(source: random.Random, kind: str, names: slice) -> str:
    """Return a name. Some words are names of persons and of places, and organizations may be called after a place."""
    first, last, city = (source.choice(each[names]) for each in (FIRST, LAST, CITY))
    stem, what = source.choice(STEM[names]), source.choice(KIND)
    if kind == "PER":
        return source.choice([f"{first} {last}", f"{first} {last}", last, f"{first[0]}. {last}"])
    if kind == "ORG":
        return source.choice([f"{stem} {what}", f"{stem} {what}", f"{what} of {city}", f"{city} {what}", stem])
    return source.choice([city, city, source.choice(COUNTRY)])


def make_paragraphs(source: random.Random, count: int) -> Iterator[dict]:
    """Yield paragraphs of SQuAD with three questions that they answer and one or two that they do not."""
    for index in range(count):
        place = source.choice(CITY)
        name = f"the {source.choice(STEM)} {source.choice(THINGS)}"
        values = {
            "n": name,
            "year": source.randint(1702, 1987),
            "person": f"{source.choice(FIRST)} {source.choice(LAST)}",
            "city": place,
            "number": source.randint(12, 940),
            "cost": source.randint(3, 870),
            "material": source.choice(MATERIALS),
            "company": f"{source.choice(STEM)} {source.choice(KIND)}",
            "cause": source.choice(CAUSES),
        }
        kinds = source.sample(sorted(FACTS), len(FACTS))
        told, untold = kinds[:4], kinds[4:]
        sentences = [source.choice(FACTS[kind][0]) for kind in told]
        extra = [(None, filler) for filler in source.sample(FILLERS, 2)]
        parts = [*zip(told, sentences, strict=True), *extra]
        source.shuffle(parts)
        text, answers = source.choice(INTRODUCTIONS).format(n=name[0].upper() + name[1:]) + " ", {}
        for kind, sentence in parts:
            sentence = sentence.format(**values)
            sentence = sentence[0].upper() + sentence[1:] if sentence[0] != "[" else sentence
            before, mark, rest = sentence.partition("[")
            answer, _, after = rest.partition("]")
            if mark:
                answers[kind] = {"text": answer, "answer_start": len(text) + len(before)}
            text += before + answer + after + " "
        asked = [*source.sample(told, 3), *source.sample(untold, 1 + index % 2)]
        qas = [
            {
                "id": f"{index}-{kind}",
                "question": source.choice(FACTS[kind][1]).format(**values),
                "answers": [answers[kind]] if kind in answers else [],
                "is_impossible": kind not in answers,
            }
            for kind in asked
        ]
        yield {"context": text.strip(), "qas": qas}


def make_pairs(source: random.Random, count: int) -> Iterator[tuple[str, str, float]]:
    """Yield two sentences and how much they share, from 0 to 5: 1.5 for who, 1.5 for where, 2 for what is done."""
    for _ in range(count):
        words = [source.choice(each) for each in (WHO, DOING, WHERE)]
        same = [source.random() < share for share in (0.6, 0.6, 0.6)]
        others = [
            source.choice([w for w in each if w != word]) for each, word in zip((WHO, DOING, WHERE), words, strict=True)
        ]
        changed = [word if keep else other for word, other, keep in zip(words, others, same, strict=True)]
        score = sum(points for points, keep in zip((1.5, 2.0, 1.5), same, strict=True) if keep)
        first, second = source.choice(source.choice(PAIR_TEMPLATES)), source.choice(source.choice(PAIR_TEMPLATES))
        yield *(fill(t, *w) for t, w in ((first, words), (second, changed))), score


def fill(template: str, who: str, doing: str, where: str) -> str:
    """Fill a template of a pair, with `a` or `an`."""
    text = template.format(who=who, doing=doing, where=where, Where=where[0].upper() + where[1:])
    return text.replace("A old", "An old").replace("a old", "an old")


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(folder: Path = HERE) -> None:
    """Write all files."""
    sizes = {"train": (480, 150, 900, slice(0, 24)), "validation": (120, 40, 200, slice(12, 30))}
    for seed, (split, (sentences, paragraphs, pairs, names)) in enumerate(sizes.items()):
        tagged = make_entities(random.Random(seed), sentences, names)
        lines = ["\n".join(f"{word}\t{tag}" for word, tag in sentence) + "\n" for sentence in tagged]
        write_lines(folder / "entities" / f"{split}.conll", lines)

        squad = list(make_paragraphs(random.Random(10 + seed), paragraphs))
        content = {"version": "2.0", "data": [{"title": "Buildings", "paragraphs": squad}]}
        write_lines(folder / "questions" / f"{split}.json", [json.dumps(content, indent=1)])

        prose = [each["context"] for each in make_paragraphs(random.Random(20 + seed), 2 * paragraphs)]
        write_lines(folder / "texts" / f"{split}.txt", prose)

        path = folder / "pairs" / f"{split}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = make_pairs(random.Random(30 + seed), pairs)
            csv.writer(file, lineterminator="\n").writerows([("sentence1", "sentence2", "score"), *rows])


if __name__ == "__main__":
    main()
