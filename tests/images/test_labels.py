"""The labels are the 1,000 classes of ImageNet-1k in the order of published networks."""

from keras_archs.images.labels import Label, imagenet_labels


def test_the_thousand_classes_are_unique_and_in_the_order_of_their_wordnet_ids() -> None:
    labels = imagenet_labels()
    ids = [label.wordnet_id for label in labels]
    assert len(labels) == 1000
    assert all(wordnet_id is not None for wordnet_id in ids)
    assert ids == sorted(set(ids), key=str)
    assert len({label.name for label in labels}) == 1000


def test_well_known_classes_have_their_usual_indices() -> None:
    labels = imagenet_labels()
    assert labels[0] == Label("tench", "n01440764")
    names = {281: "tabby", 285: "Egyptian cat", 657: "missile", 872: "tripod", 967: "espresso"}
    assert {index: labels[index].name for index in names} == names
    assert labels[999].name == "toilet tissue"


def test_classes_that_share_a_lemma_have_different_names() -> None:
    names = [label.name for label in imagenet_labels()]
    assert (names[134], names[517]) == ("crane (bird)", "crane (machine)")
    assert (names[638], names[639]) == ("maillot (tights)", "maillot (swimsuit)")


def test_the_table_is_read_once() -> None:
    assert imagenet_labels() is imagenet_labels()
