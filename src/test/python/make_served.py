"""Makes the small SavedModels of src/test/resources/savedmodels/served, as clients of TensorFlow Serving know their like.

    python make_served.py OUTPUT_DIRECTORY        (TensorFlow 2.18; half a minute)

`types` has a signature for each kind of tensor; `estimator` is a graph of TensorFlow 1 that parses examples, with signatures to
classify, to regress and to predict.
"""
import os
import sys

import tensorflow as tf

root = sys.argv[1]
v1 = tf.compat.v1


def spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name=name)


class Types(tf.Module):
    def __init__(self):
        self.a = tf.Variable(0.5, name="a")
        self.b = tf.Variable(2.0, name="b")

    @tf.function(input_signature=[spec([None], tf.float32, "x")])
    def half_plus_two(self, x):
        return {"y": self.a * x + self.b}

    @tf.function(input_signature=[spec([None, 2], tf.float32, "a"), spec([None], tf.int64, "n"), spec([None], tf.bool, "flag"),
                                  spec([None], tf.string, "name")])
    def many(self, a, n, flag, name):
        return {"sum": tf.reduce_sum(a, 1), "twice": 2 * n, "other": tf.logical_not(flag), "text": tf.strings.join([name, "!"]),
                "raw_bytes": tf.strings.substr(name, 0, 2)}

    @tf.function(input_signature=[spec([], tf.float32, "x")])
    def scalar(self, x):
        return {"y": x * self.b}

    @tf.function(input_signature=[spec([None, 2], tf.float32, "x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x), "rows": tf.reduce_sum(x, 1)}

    @tf.function(input_signature=[spec([None, None], tf.int32, "ids")])
    def dynamic(self, ids):
        return {"hot": tf.one_hot(ids, 4), "lengths": tf.reduce_sum(tf.cast(ids >= 0, tf.int32), 1)}

    @tf.function(input_signature=[spec([None], tf.float64, "d"), spec([None], tf.uint8, "u")])
    def wide(self, d, u):
        return {"d": tf.sqrt(d), "u": u}

    @tf.function(input_signature=[spec([None], tf.bfloat16, "x")])
    def brain(self, x):
        return {"y": tf.cast(x, tf.float32) * self.a, "z": x}

    @tf.function(input_signature=[spec([None], tf.string, "image_bytes")])
    def image(self, image_bytes):
        return {"length": tf.strings.length(image_bytes), "copy_bytes": image_bytes}

    @tf.function(input_signature=[spec(None, tf.float32, "x")])
    def any_rank(self, x):
        return {"y": x + 1.0}


def types():
    m = Types()
    names = ["many", "scalar", "total", "dynamic", "wide", "brain", "image", "any_rank"]
    signatures = {name: getattr(m, name) for name in names}
    signatures["serving_default"] = m.half_plus_two
    tf.saved_model.save(m, os.path.join(root, "types"), signatures=signatures)


def estimator():
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="serialized")
        features = tf.io.parse_example(serialized, {
            "x": tf.io.FixedLenFeature([2], tf.float32),
            "k": tf.io.FixedLenFeature([1], tf.int64, default_value=[1]),
            "word": tf.io.FixedLenFeature([1], tf.string, default_value=["none"]),
            "tags": tf.io.VarLenFeature(tf.string)})
        w = v1.get_variable("w", initializer=tf.constant([[1.0, -1.0, 0.5], [0.5, 2.0, -0.5]]))
        count = tf.sparse.reduce_sum(tf.SparseTensor(features["tags"].indices, tf.ones_like(features["tags"].values, tf.float32),
                                                     features["tags"].dense_shape), 1, keepdims=True)
        logits = tf.matmul(features["x"], w) * tf.cast(features["k"], tf.float32) + tf.reshape(count, [-1, 1])
        scores = tf.nn.softmax(logits * [1.0, 2.0, 3.0], name="scores")
        rows = tf.shape(logits)[0]
        classes = tf.tile(tf.constant([["red", "green", "blue"]]), [rows, 1], name="classes")
        value = tf.reduce_sum(logits, 1, keepdims=True, name="value")
        info = v1.saved_model.build_tensor_info
        build = v1.saved_model.signature_def_utils.build_signature_def
        examples = {"inputs": info(serialized)}
        signatures = {
            "serving_default": build(examples, {"classes": info(classes), "scores": info(scores)}, "tensorflow/serving/classify"),
            "scores_only": build(examples, {"scores": info(scores)}, "tensorflow/serving/classify"),
            "regression": build(examples, {"outputs": info(value)}, "tensorflow/serving/regress"),
            "predict": build({"examples": info(serialized)},
                             {"scores": info(scores), "word": info(features["word"]), "value": info(value)},
                             "tensorflow/serving/predict")}
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(os.path.join(root, "estimator"))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


types()
estimator()
