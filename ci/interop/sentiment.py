"""Reviews of one sentence, and what Java made of them.

    sentiment.py make TRAIN.csv VALIDATION.csv VALIDATION.txt
    sentiment.py check VALIDATION.csv RESULTS.json OUTPUTS.npz MODEL

RESULTS.json has what fine-tune, evaluate and predict report, a line each; MODEL must compute and train in Python as in Java. What is praised and the words of praise and blame differ between the two files, so that only a model that knows the words beforehand
gets the second one right. Two in three reviews are positive.
"""

import csv
import random
import sys

TRAIN = {
    "thing": "film book meal hotel concert novel pizza museum game song lecture cafe".split(),
    "positive": "wonderful excellent charming delightful brilliant lovely great superb enjoyable amazing".split(),
    "negative": "terrible boring awful dreadful disappointing horrible bad poor annoying ugly".split(),
}
VALIDATION = {
    "thing": "movie restaurant play album story bar exhibition show".split(),
    "positive": "fantastic marvelous beautiful pleasant outstanding magnificent".split(),
    "negative": "dull miserable lousy disgusting unpleasant mediocre".split(),
}
FORMS = [
    "The {thing} was {word}.",
    "What a {word} {thing}, from beginning to end!",
    "We found the {thing} rather {word} this time.",
    "My sister took me to a {word} {thing} on Friday.",
    'They called it "{word}", and the {thing} really was.',
]


def write(path, words, count, seed, plain=None):
    draw = random.Random(seed)
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "sentiment"])
        for i in range(count):
            label = "positive" if draw.random() < 2 / 3 else "negative"
            text = draw.choice(FORMS).format(thing=draw.choice(words["thing"]), word=draw.choice(words[label]))
            rows.writerow([i, text, label])
            if plain:
                print(text, file=plain)


def check(rows, results, outputs, model):
    import json
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np
    import tensorflow as tf

    labels = [row["sentiment"] for row in csv.DictReader(open(rows, encoding="utf-8"))]
    tuned, evaluated, predicted = (json.loads(line) for line in open(results, encoding="utf-8") if line.startswith("{"))
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    right = np.mean([a == b for a, b in zip(predicted["classes"], labels)])
    print(f"sentiment of MiniLM: accuracy {tuned['accuracyBefore']:.3f} -> {right:.3f}, the larger class has {majority:.3f}", file=sys.stderr)
    arrays = np.load(outputs)
    loaded = tf.saved_model.load(model)
    function = loaded.signatures["serving_default"]
    tokens = arrays["tokens"]
    inputs = {"input_word_ids": tokens, "input_mask": np.int32(tokens != 0), "input_type_ids": 0 * tokens}
    inputs = {name: tf.constant(inputs[name]) for name in function.structured_input_signature[1]}
    targets = tf.constant([["negative", "positive"].index(label) for label in labels])

    def loss():
        logits = function(**inputs)["logits"]
        return logits, tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))

    with tf.GradientTape() as tape:
        logits, before = loss()
    difference = np.abs(logits.numpy() - arrays["logits"]).max()
    gradients = tape.gradient(before, loaded.trainable_variables)
    for variable, gradient in zip(loaded.trainable_variables, gradients):
        if gradient is not None:
            variable.assign_sub(0.01 * tf.convert_to_tensor(gradient))
    after = loss()[1]
    print(f"logits differ by {difference:.1e}; a step in Python: {before:.5f} -> {after:.5f}", file=sys.stderr)
    fits = right == evaluated["accuracy"] == tuned["accuracyAfter"] and right > majority + 0.2 and tuned["maxOutputDifference"] < 1e-4
    if not (fits and difference < 1e-4 and after < before and abs(evaluated["loss"] - before) < 1e-4):
        sys.exit(f"Java's classifier is wrong: {tuned}, {evaluated}")


if sys.argv[1] == "make":
    write(sys.argv[2], TRAIN, 480, 1)
    with open(sys.argv[4], "w", encoding="utf-8") as texts:
        write(sys.argv[3], VALIDATION, 120, 2, texts)
else:
    check(*sys.argv[2:])
