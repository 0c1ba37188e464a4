"""Studies with a error, the changes asked on the command line, and the whole message that refuses each."""

from typing import NamedTuple


class Malformed(NamedTuple):
    """A study that must be refused; `{here}` in the message is the folder of the study."""

    title: str
    text: str
    message: str
    overrides: tuple[str, ...] = ()


MALFORMED = [
    Malformed(
        "empty file",
        "",
        (
            "study.yaml:1:1: the study is empty\n"
            "  → Begin with `study: a-name` and `data: {path: my_images/}`."
        ),
    ),
    Malformed(
        "only a comment",
        "# nothing yet\n",
        (
            "study.yaml:1:1: the study is empty\n"
            "     1 | # nothing yet\n"
            "       | ^\n"
            "  → Begin with `study: a-name` and `data: {path: my_images/}`."
        ),
    ),
    Malformed(
        "a list at the top",
        ("- study: gel\n- data: x\n"),
        (
            'study.yaml:1:1: a study is made of `key: value` lines, got [{"study": "gel"}, {"data": "x"}]\n'
            "     1 | - study: gel\n"
            "       | ^\n"
            "  → The keys are study, title, seed, threads, data, compare, train, search, validate, judge, robustness, baselines, measure, look, slurm, ray, kubernetes, variants."
        ),
    ),
    Malformed(
        "a word at the top",
        "gel\n",
        (
            "study.yaml:1:1: a study is made of `key: value` lines, got 'gel'\n"
            "     1 | gel\n"
            "       | ^\n"
            "  → The keys are study, title, seed, threads, data, compare, train, search, validate, judge, robustness, baselines, measure, look, slurm, ray, kubernetes, variants."
        ),
    ),
    Malformed(
        "nothing but a name",
        "study: gel\n",
        (
            "2 problems:\n"
            "1. study.yaml:1:1: data is missing\n"
            "     1 | study: gel\n"
            "       | ^\n"
            "  → Add the key data.\n"
            "2. study.yaml:1:1: no model is named\n"
            "     1 | study: gel\n"
            "       | ^\n"
            "  → Add `model: unet` to train, or a list of models to compare."
        ),
    ),
    Malformed(
        "unknown key at the top",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\ntitel: Gels\n"),
        (
            "study.yaml:4:1: no key is called 'titel'\n"
            "     4 | titel: Gels\n"
            "       | ^\n"
            "  → Did you mean 'title'? Known: study, title, seed, threads, data, compare, train, search, validate, judge, robustness, baselines, measure, look, slurm, ray, kubernetes, variants."
        ),
    ),
    Malformed(
        "unknown key that is near nothing",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\nzzz: 1\n"),
        (
            "study.yaml:4:1: no key is called 'zzz'\n"
            "     4 | zzz: 1\n"
            "       | ^\n"
            "  → Known: study, title, seed, threads, data, compare, train, search, validate, judge, robustness, baselines, measure, look, slurm, ray, kubernetes, variants."
        ),
    ),
    Malformed(
        "key stated twice",
        ("study: gel\nseed: 1\nseed: 2\ndata: {path: gels}\ntrain: {model: unet}\n"),
        (
            "study.yaml:3:1: seed is stated twice; first in line 2\n"
            "     3 | seed: 2\n"
            "       | ^\n"
            "  → Keep one of them."
        ),
    ),
    Malformed(
        "study name with a space",
        ("study: my gels\ndata: {path: gels}\ntrain: {model: unet}\n"),
        (
            "study.yaml:1:8: study must begin with a letter or a digit and hold only letters, digits and . _ -, got 'my gels'\n"
            "     1 | study: my gels\n"
            "       |        ^\n"
            "  → It names the run folder; put what is to be read in `title`."
        ),
    ),
    Malformed(
        "study name that is a number",
        ("study: 2024\ndata: {path: gels}\ntrain: {model: unet}\n"),
        (
            "study.yaml:1:8: study must be text, got 2024\n"
            "     1 | study: 2024\n"
            "       |        ^\n"
            '  → Put it in quotes: "2024".'
        ),
    ),
    Malformed(
        "study name too long",
        (
            "study: ggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg\n"
            "data: {path: gels}\n"
            "train: {model: unet}\n"
        ),
        (
            "study.yaml:1:8: study must have at most 80 letters, got 'ggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg ...\n"
            "     1 | study: ggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg\n"
            "       |        ^"
        ),
    ),
    Malformed(
        "path instead of data keys",
        ("study: gel\ndata: gels/\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:7: data must have keys, got 'gels/'\n"
            "     2 | data: gels/\n"
            "       |       ^\n"
            "  → Write its keys below it, indented. Known: path, phantom, source, layout, task, channels, size, pixel_um, images, masks, table, image_column, label_columns, group_column, classes, mask_values, ignore_value, run_order, slices_per_group, flagged, decoding, external."
        ),
    ),
    Malformed(
        "data left empty",
        ("study: gel\ndata:\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:1: data must have keys, got nothing\n"
            "     2 | data:\n"
            "       | ^\n"
            "  → Write its keys below it, indented, or remove the line. Known: path, phantom, source, layout, task, channels, size, pixel_um, images, masks, table, image_column, label_columns, group_column, classes, mask_values, ignore_value, run_order, slices_per_group, flagged, decoding, external."
        ),
    ),
    Malformed(
        "no source",
        ("study: gel\ndata: {size: 64}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:7: data needs one of path (a folder), phantom (a built-in data set) and source (a public data set, which may have its copy at path); none is stated\n"
            "     2 | data: {size: 64}\n"
            "       |       ^"
        ),
    ),
    Malformed(
        "two sources",
        ("study: gel\ndata: {path: gels, phantom: {kind: gels}}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:7: data needs one of path (a folder), phantom (a built-in data set) and source (a public data set, which may have its copy at path); path and phantom are stated\n"
            "     2 | data: {path: gels, phantom: {kind: gels}}\n"
            "       |       ^"
        ),
    ),
    Malformed(
        "phantom without kind",
        ("study: gel\ndata:\n  phantom: {images: 10}\ntrain: {model: unet}\n"),
        (
            "study.yaml:3:3: kind is missing in data.phantom\n"
            "     3 |   phantom: {images: 10}\n"
            "       |   ^\n"
            "  → Add the key kind."
        ),
    ),
    Malformed(
        "phantom too difficult",
        ("study: gel\ndata:\n  phantom: {kind: gels, difficulty: 2}\ntrain: {model: unet}\n"),
        (
            "study.yaml:3:37: data.phantom.difficulty must be at most 1, got 2\n"
            "     3 |   phantom: {kind: gels, difficulty: 2}\n"
            "       |                                     ^"
        ),
    ),
    Malformed(
        "unknown layout",
        ("study: gel\ndata: {path: gels, layout: class_folder}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:28: data.layout must be one of auto, class_folders, image_mask, masks_beside, table, arrays, got 'class_folder'\n"
            "     2 | data: {path: gels, layout: class_folder}\n"
            "       |                            ^\n"
            "  → Did you mean 'class_folders'?"
        ),
    ),
    Malformed(
        "unknown task",
        ("study: gel\ndata: {path: gels, task: binary_clasification}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:26: data.task must be one of auto, binary_classification, multiclass_classification, multilabel_classification, binary_segmentation, multiclass_segmentation, got 'binary_clasification'\n"
            "     2 | data: {path: gels, task: binary_clasification}\n"
            "       |                          ^\n"
            "  → Did you mean 'binary_classification'?"
        ),
    ),
    Malformed(
        "size in words",
        ("study: gel\ndata: {path: gels, size: big}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:26: data.size must be a whole number of pixels from 1 to 16,384, [height, width], or native, got 'big'\n"
            "     2 | data: {path: gels, size: big}\n"
            "       |                          ^"
        ),
    ),
    Malformed(
        "size with three numbers",
        ("study: gel\ndata: {path: gels, size: [1, 2, 3]}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:26: data.size must be a whole number of pixels from 1 to 16,384, [height, width], or native, got [1, 2, 3]\n"
            "     2 | data: {path: gels, size: [1, 2, 3]}\n"
            "       |                          ^"
        ),
    ),
    Malformed(
        "size zero",
        ("study: gel\ndata: {path: gels, size: 0}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:26: data.size must be a whole number of pixels from 1 to 16,384, [height, width], or native, got 0\n"
            "     2 | data: {path: gels, size: 0}\n"
            "       |                          ^"
        ),
    ),
    Malformed(
        "classes that are numbers",
        ("study: gel\ndata: {path: gels, classes: [0, 1]}\ntrain: {model: unet}\n"),
        (
            "2 problems:\n"
            "1. study.yaml:2:30: data.classes[0] must be text, got 0\n"
            "     2 | data: {path: gels, classes: [0, 1]}\n"
            "       |                              ^\n"
            '  → Put it in quotes: "0".\n'
            "2. study.yaml:2:33: data.classes[1] must be text, got 1\n"
            "     2 | data: {path: gels, classes: [0, 1]}\n"
            "       |                                 ^\n"
            '  → Put it in quotes: "1".'
        ),
    ),
    Malformed(
        "classes not in a list",
        ("study: gel\ndata: {path: gels, classes: gel}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:29: data.classes must be a list, got 'gel'\n"
            "     2 | data: {path: gels, classes: gel}\n"
            "       |                             ^\n"
            "  → Write it in brackets: [gel]."
        ),
    ),
    Malformed(
        "mask values without names",
        ("study: gel\ndata: {path: gels, mask_values: [0, 255]}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:33: data.mask_values must have keys, got [0, 255]\n"
            "     2 | data: {path: gels, mask_values: [0, 255]}\n"
            "       |                                 ^\n"
            "  → Write its keys below it, indented."
        ),
    ),
    Malformed(
        "ignore value in words",
        ("study: gel\ndata: {path: gels, ignore_value: white}\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:34: data.ignore_value must be a whole number, got 'white'\n"
            "     2 | data: {path: gels, ignore_value: white}\n"
            "       |                                  ^"
        ),
    ),
    Malformed(
        "no model",
        ("study: gel\ndata: {path: gels}\n"),
        (
            "study.yaml:1:1: no model is named\n"
            "     1 | study: gel\n"
            "       | ^\n"
            "  → Add `model: unet` to train, or a list of models to compare."
        ),
    ),
    Malformed(
        "unknown key in train",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epoch: 3\n"),
        (
            "study.yaml:5:3: no key is called 'epoch' in train\n"
            "     5 |   epoch: 3\n"
            "       |   ^\n"
            "  → Did you mean 'epochs'? Known: model, head, loss, optimizer, schedule, weights, pretrain, freeze, augment, cache_views, normalize, epochs, patience_epochs, batch_size, steps_per_epoch, sampling, label_groups, crop_px, precision, device, cache."
        ),
    ),
    Malformed(
        "epochs in words",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epochs: ten\n"),
        (
            "study.yaml:5:11: train.epochs must be a whole number, got 'ten'\n"
            "     5 |   epochs: ten\n"
            "       |           ^"
        ),
    ),
    Malformed(
        "epochs zero",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epochs: 0\n"),
        (
            "study.yaml:5:11: train.epochs must be at least 1, got 0\n"
            "     5 |   epochs: 0\n"
            "       |           ^"
        ),
    ),
    Malformed(
        "epochs with a fraction",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epochs: 2.5\n"),
        (
            "study.yaml:5:11: train.epochs must be a whole number, got 2.5\n"
            "     5 |   epochs: 2.5\n"
            "       |           ^"
        ),
    ),
    Malformed(
        "epochs true",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epochs: true\n"),
        (
            "study.yaml:5:11: train.epochs must be a whole number, got true\n"
            "     5 |   epochs: true\n"
            "       |           ^"
        ),
    ),
    Malformed(
        "a number with a leading zero",
        ("study: gel\ndata: {path: gels}\ntrain:\n  model: unet\n  epochs: 010\n"),
        (
            "study.yaml:5:11: train.epochs must be a whole number, got '010'\n"
            "     5 |   epochs: 010\n"
            "       |           ^"
        ),
    ),
    Malformed(
        "a number beyond numbers",
        ("study: gel\ndata: {path: gels}\njudge: {equivalent_within: 1e999}\ntrain: {model: unet}\n"),
        (
            "study.yaml:3:28: judge.equivalent_within must be a number, got '1e999'\n"
            "     3 | judge: {equivalent_within: 1e999}\n"
            "       |                            ^"
        ),
    ),
    Malformed(
        "unknown device",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, device: gpu}\n"),
        (
            "study.yaml:3:30: train.device must be one of auto, cpu, cuda, mps, got 'gpu'\n"
            "     3 | train: {model: unet, device: gpu}\n"
            "       |                              ^"
        ),
    ),
    Malformed(
        "unknown augmentation",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, augment: flip}\n"),
        (
            "study.yaml:3:31: train.augment is unknown: no augmentation is called 'flip'\n"
            "     3 | train: {model: unet, augment: flip}\n"
            "       |                               ^\n"
            "  → Did you mean 'flips'? Known: flips, none, standard, strong. Or state its parts, such as {flip: true, turn: true}."
        ),
    ),
    Malformed(
        "yes is a word",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, augment: {flip: yes}}\n"),
        (
            "study.yaml:3:38: train.augment.flip must be true or false, got 'yes'\n"
            "     3 | train: {model: unet, augment: {flip: yes}}\n"
            "       |                                      ^"
        ),
    ),
    Malformed(
        "unknown part of augmentation",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, augment: {rotate: 15}}\n"),
        (
            "study.yaml:3:32: no key is called 'rotate' in train.augment\n"
            "     3 | train: {model: unet, augment: {rotate: 15}}\n"
            "       |                                ^\n"
            "  → Did you mean 'rotate_deg'? Known: flip, turn, rotate_deg, scale, shift, brightness, contrast, noise, blur_px."
        ),
    ),
    Malformed(
        "model that is a number",
        ("study: gel\ndata: {path: gels}\ntrain: {model: 5}\n"),
        (
            "study.yaml:3:16: train.model must be a name, or {name: {option: value}}, got 5\n"
            "     3 | train: {model: 5}\n"
            "       |                ^"
        ),
    ),
    Malformed(
        "two models in one",
        ("study: gel\ndata: {path: gels}\ntrain: {model: {unet: {}, conv: {}}}\n"),
        (
            "study.yaml:3:16: train.model must be one name with its options, got 2 keys: unet, conv\n"
            "     3 | train: {model: {unet: {}, conv: {}}}\n"
            "       |                ^\n"
            "  → Write it as {adam: {lr: 0.001}}: the name, then its options by name."
        ),
    ),
    Malformed(
        "options without names",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, optimizer: {adam: 0.001}}\n"),
        (
            "study.yaml:3:33: train.optimizer needs the options of adam by their names, got 0.001\n"
            "     3 | train: {model: unet, optimizer: {adam: 0.001}}\n"
            "       |                                 ^\n"
            "  → Write it as {adam: {lr: 0.001}}: the name, then its options by name."
        ),
    ),
    Malformed(
        "each outside compare",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, optimizer: {adam: {lr: {each: [0.1, 1]}}}}\n"),
        (
            "study.yaml:3:45: each makes levels, and train has none: it is shared by all\n"
            "     3 | train: {model: unet, optimizer: {adam: {lr: {each: [0.1, 1]}}}}\n"
            "       |                                             ^\n"
            "  → Move this key to compare, as a list."
        ),
    ),
    Malformed(
        "weights file that is not there",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet, weights: w.safetensors}\n"),
        (
            "study.yaml:3:31: train.weights is no file: 'w.safetensors', looked for in {here}\n"
            "     3 | train: {model: unet, weights: w.safetensors}\n"
            "       |                               ^\n"
            "  → Write none, imagenet, efficientnet-lite0, or the path of a .safetensors file."
        ),
    ),
    Malformed(
        "weights with a spelling error",
        ("study: gel\ndata: {path: gels}\ncompare: {weights: [none, imagnet]}\ntrain: {model: unet}\n"),
        (
            "study.yaml:3:27: compare.weights[1] is no file: 'imagnet', looked for in {here}\n"
            "     3 | compare: {weights: [none, imagnet]}\n"
            "       |                           ^\n"
            "  → Write none, imagenet, efficientnet-lite0, or the path of a .safetensors file."
        ),
    ),
    Malformed(
        "train left empty",
        ("study: gel\ndata: {path: gels}\ntrain:\n"),
        (
            "study.yaml:3:1: train must have keys, got nothing\n"
            "     3 | train:\n"
            "       | ^\n"
            "  → Write its keys below it, indented, or remove the line."
        ),
    ),
    Malformed(
        "unknown factor",
        ("study: gel\ndata: {path: gels}\ncompare:\n  models: [unet, conv]\n"),
        (
            "2 problems:\n"
            "1. study.yaml:1:1: no model is named\n"
            "     1 | study: gel\n"
            "       | ^\n"
            "  → Add `model: unet` to train, or a list of models to compare.\n"
            "2. study.yaml:4:3: no setting is called 'models', so it cannot be compared\n"
            "     4 |   models: [unet, conv]\n"
            "       |   ^\n"
            "  → Did you mean 'model'? Known: model, head, loss, optimizer, schedule, weights, pretrain, freeze, augment, cache_views, normalize, epochs, patience_epochs, batch_size, steps_per_epoch, sampling, label_groups, crop_px, precision, device, cache."
        ),
    ),
    Malformed(
        "factor that is no list",
        ("study: gel\ndata: {path: gels}\ncompare:\n  model: unet\n"),
        (
            "study.yaml:4:10: compare.model must be a list, got 'unet'\n"
            "     4 |   model: unet\n"
            "       |          ^\n"
            "  → Write it in brackets: [unet]."
        ),
    ),
    Malformed(
        "factor without levels",
        ("study: gel\ndata: {path: gels}\ncompare:\n  model: []\n"),
        (
            "study.yaml:4:10: compare.model has no levels\n"
            "     4 |   model: []\n"
            "       |          ^\n"
            "  → List at least one, or remove the line."
        ),
    ),
    Malformed(
        "level stated twice",
        ("study: gel\ndata: {path: gels}\ncompare:\n  model: [unet, conv, unet]\n"),
        (
            "study.yaml:4:23: compare.model states unet twice\n"
            "     4 |   model: [unet, conv, unet]\n"
            "       |                       ^\n"
            "  → Remove one: equal levels give equal results."
        ),
    ),
    Malformed(
        "equal augmentations by two names",
        (
            "study: gel\n"
            "data: {path: gels}\n"
            "train: {model: unet}\n"
            "compare:\n"
            "  augment: [flips, {flip: true, turn: true}]\n"
        ),
        (
            "study.yaml:5:20: compare.augment states flips twice\n"
            "     5 |   augment: [flips, {flip: true, turn: true}]\n"
            "       |                    ^\n"
            "  → Remove one: equal levels give equal results."
        ),
    ),
    Malformed(
        "bad level",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\ncompare:\n  batch_size: [8, -8]\n"),
        (
            "study.yaml:5:19: compare.batch_size must be at least 1, got -8\n"
            "     5 |   batch_size: [8, -8]\n"
            "       |                   ^"
        ),
    ),
    Malformed(
        "factor that is also shared",
        (
            "study: gel\n"
            "data: {path: gels}\n"
            "train: {model: unet, loss: dice}\n"
            "compare:\n"
            "  loss: [dice, focal]\n"
        ),
        (
            "study.yaml:5:3: loss is stated twice: shared in train, and as a factor here\n"
            "     5 |   loss: [dice, focal]\n"
            "       |   ^\n"
            "  → Keep one of them."
        ),
    ),
    Malformed(
        "each without values",
        (
            "study: gel\n"
            "data: {path: gels}\n"
            "train: {model: unet}\n"
            "compare:\n"
            "  optimizer: [{adam: {lr: {each: []}}}]\n"
        ),
        (
            "study.yaml:5:27: each needs a list of at least one value\n"
            "     5 |   optimizer: [{adam: {lr: {each: []}}}]\n"
            "       |                           ^\n"
            "  → Write for example {adam: {lr: {each: [0.001, 0.01]}}}."
        ),
    ),
    Malformed(
        "one fold",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\nvalidate: {folds: 1}\n"),
        (
            "study.yaml:4:19: validate.folds must be at least 2, got 1\n"
            "     4 | validate: {folds: 1}\n"
            "       |                   ^"
        ),
    ),
    Malformed(
        "inner share too large",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\nvalidate: {inner: 0.5}\n"),
        (
            "study.yaml:4:19: validate.inner must be less than 0.5, got 0.5\n"
            "     4 | validate: {inner: 0.5}\n"
            "       |                   ^"
        ),
    ),
    Malformed(
        "group that is a number",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\nvalidate: {group: 3}\n"),
        (
            "study.yaml:4:19: validate.group must be text, got 3\n"
            "     4 | validate: {group: 3}\n"
            "       |                   ^\n"
            '  → Put it in quotes: "3".'
        ),
    ),
    Malformed(
        "judge left empty",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\njudge:\n"),
        (
            "study.yaml:4:1: judge must have keys, got nothing\n"
            "     4 | judge:\n"
            "       | ^\n"
            "  → Write its keys below it, indented, or remove the line. Known: metric, select, thresholds, boundary, tolerance_px, equivalent_within, alpha, textbook."
        ),
    ),
    Malformed(
        "negative equivalence",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\njudge: {equivalent_within: -0.1}\n"),
        (
            "study.yaml:4:28: judge.equivalent_within must be at least 0, got -0.1\n"
            "     4 | judge: {equivalent_within: -0.1}\n"
            "       |                            ^"
        ),
    ),
    Malformed(
        "tab in front",
        ("study: gel\ndata:\n\tpath: gels\n"),
        (
            "study.yaml:3:1: a tab stands where spaces belong\n"
            "     3 | \tpath: gels\n"
            "       | ^\n"
            "  → Indent with spaces."
        ),
    ),
    Malformed(
        "indentation off",
        ("study: gel\ndata:\n    path: gels\n  size: 64\n"),
        (
            "study.yaml:4:3: the indentation does not fit the lines above\n"
            "     4 |   size: 64\n"
            "       |   ^\n"
            "  → Begin keys of one part in the same column."
        ),
    ),
    Malformed(
        "colon in text",
        ("study: gel\ntitle: Gels: the best\n"),
        (
            "study.yaml:2:12: a colon stands where no key can be\n"
            "     2 | title: Gels: the best\n"
            "       |            ^\n"
            "  → Check the indentation above, or put text that holds ': ' in quotes."
        ),
    ),
    Malformed(
        "no colon",
        ("study: gel\ndata\ntrain: {model: unet}\n"),
        (
            "study.yaml:2:1: a key has no colon\n"
            "     2 | data\n"
            "       | ^\n"
            "  → Write `key: value`, with a space after the colon."
        ),
    ),
    Malformed(
        "open bracket",
        ("study: gel\ndata: {path: gels}\ncompare:\n  model: [unet, conv\ntrain: {epochs: 2}\n"),
        (
            "study.yaml:4:10: a list in brackets is not closed\n"
            "     4 |   model: [unet, conv\n"
            "       |          ^\n"
            "  → Close it with ]."
        ),
    ),
    Malformed(
        "open quote",
        ('study: gel\ntitle: "Gels\n'),
        (
            "study.yaml:2:8: a text in quotes is not closed\n"
            '     2 | title: "Gels\n'
            "       |        ^\n"
            "  → Close the quotes."
        ),
    ),
    Malformed(
        "two documents",
        ("study: gel\n---\nstudy: gel\n"),
        (
            "study.yaml:2:1: the file holds more than one document\n"
            "     2 | ---\n"
            "       | ^\n"
            "  → Remove the line ---."
        ),
    ),
    Malformed(
        "unknown alias",
        ("study: gel\ndata: {path: *gels}\n"),
        (
            "study.yaml:2:14: a name after * is stated nowhere\n"
            "     2 | data: {path: *gels}\n"
            "       |              ^\n"
            "  → Text that begins with * needs quotes."
        ),
    ),
    Malformed(
        "at sign",
        ("study: gel\ntitle: @home\n"),
        (
            "study.yaml:2:8: a value begins with a character that YAML keeps for itself\n"
            "     2 | title: @home\n"
            "       |        ^\n"
            "  → Put the value in quotes."
        ),
    ),
    Malformed(
        "tag",
        ("study: gel\ndata: {path: gels}\ntrain: {model: !unet {width: 8}}\ntitle: !shout Gels\n"),
        (
            "3 problems:\n"
            "1. study.yaml:3:16: train.model has the tag !unet, which means nothing here\n"
            "     3 | train: {model: !unet {width: 8}}\n"
            "       |                ^\n"
            "  → Remove the tag.\n"
            "2. study.yaml:3:16: train.model needs the options of width by their names, got 8\n"
            "     3 | train: {model: !unet {width: 8}}\n"
            "       |                ^\n"
            "  → Write it as {adam: {lr: 0.001}}: the name, then its options by name.\n"
            "3. study.yaml:4:8: title has the tag !shout, which means nothing here\n"
            "     4 | title: !shout Gels\n"
            "       |        ^\n"
            "  → Remove the tag."
        ),
    ),
    Malformed(
        "control character",
        ("study: gel\ntitle: a\x07b\n"),
        (
            "study.yaml:2:9: a control character cannot stand here\n"
            "     2 | title: a\x07b\n"
            "       |         ^\n"
            "  → Delete it."
        ),
    ),
    Malformed(
        "a list within itself",
        ("study: gel\ndata: &data\n  path: *data\n"),
        (
            "study.yaml: lists or mappings are nested too deeply\n  → Write it with fewer levels: nothing here needs so many."
        ),
    ),
    Malformed(
        "override without equals",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\n"),
        ("--set train.epochs: a change is written KEY=VALUE\n  → For example: --set train.epochs=2."),
        overrides=("train.epochs",),
    ),
    Malformed(
        "override of an unknown key",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\n"),
        (
            "--set train.epoch=2: no key is called 'epoch' in train\n"
            "  → Did you mean 'epochs'? Known: model, head, loss, optimizer, schedule, weights, pretrain, freeze, augment, cache_views, normalize, epochs, patience_epochs, batch_size, steps_per_epoch, sampling, label_groups, crop_px, precision, device, cache."
        ),
        overrides=("train.epoch=2",),
    ),
    Malformed(
        "override with a wrong value",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\n"),
        "--set train.epochs=two: train.epochs must be a whole number, got 'two'",
        overrides=("train.epochs=two",),
    ),
    Malformed(
        "override through a value",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\n"),
        ("--set study.name=x: study is 'gel' and has no keys\n  → Set study as a whole."),
        overrides=("study.name=x",),
    ),
    Malformed(
        "override that is no YAML",
        ("study: gel\ndata: {path: gels}\ntrain: {model: unet}\n"),
        ("--set train.epochs=[2: a list in brackets is not closed\n  → Close it with ]."),
        overrides=("train.epochs=[2",),
    ),
    Malformed(
        "override past the end of a list",
        ("study: gel\ndata: {path: gels}\ncompare: {model: [unet, conv]}\n"),
        ("--set compare.model.2=vit: compare.model is a list and has no part '2'\n  → Name one of 0 to 1."),
        overrides=("compare.model.2=vit",),
    ),
    Malformed(
        "several at once, in the order of the file",
        (
            "study: my gels\n"
            "data: {path: gels, sise: 64}\n"
            "compare:\n"
            "  los: [dice, focal]\n"
            "train:\n"
            "  model: unet\n"
            "  epochs: ten\n"
            "validate: {folds: one}\n"
        ),
        (
            "6 problems:\n"
            "1. --set judge.alpha=2: judge.alpha must be less than 0.5, got 2\n"
            "2. study.yaml:1:8: study must begin with a letter or a digit and hold only letters, digits and . _ -, got 'my gels'\n"
            "     1 | study: my gels\n"
            "       |        ^\n"
            "  → It names the run folder; put what is to be read in `title`.\n"
            "3. study.yaml:2:20: no key is called 'sise' in data\n"
            "     2 | data: {path: gels, sise: 64}\n"
            "       |                    ^\n"
            "  → Did you mean 'size'? Known: path, phantom, source, layout, task, channels, size, pixel_um, images, masks, table, image_column, label_columns, group_column, classes, mask_values, ignore_value, run_order, slices_per_group, flagged, decoding, external.\n"
            "4. study.yaml:4:3: no setting is called 'los', so it cannot be compared\n"
            "     4 |   los: [dice, focal]\n"
            "       |   ^\n"
            "  → Did you mean 'loss'? Known: model, head, loss, optimizer, schedule, weights, pretrain, freeze, augment, cache_views, normalize, epochs, patience_epochs, batch_size, steps_per_epoch, sampling, label_groups, crop_px, precision, device, cache.\n"
            "5. study.yaml:7:11: train.epochs must be a whole number, got 'ten'\n"
            "     7 |   epochs: ten\n"
            "       |           ^\n"
            "6. study.yaml:8:19: validate.folds must be a whole number, got 'one'\n"
            "     8 | validate: {folds: one}\n"
            "       |                   ^"
        ),
        overrides=("judge.alpha=2",),
    ),
]
