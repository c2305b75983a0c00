"""Makes the small TFRecord files of the tests with Python TensorFlow (2.18); run in this folder."""
import tensorflow as tf

F = tf.train.Feature


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


ints = lambda *v: F(int64_list=tf.train.Int64List(value=v))
text = lambda v: F(bytes_list=tf.train.BytesList(value=[v.encode()]))
floats = lambda *v: F(float_list=tf.train.FloatList(value=v))

# What protein_lm's csv_to_tfrecord writes: a feature 'sequence' of integers.
with tf.io.TFRecordWriter("protein_lm.tfrecord") as out:
    for n in (5, 1, 40, 300):
        out.write(example(sequence=ints(*[(7 * i + n) % 29 for i in range(n)])))

with tf.io.TFRecordWriter("labelled.tfrecord.gz", tf.io.TFRecordOptions(compression_type="GZIP")) as out:
    for i, s in enumerate(["MKV", "ACDEF", "WW"]):
        out.write(example(sequence=text(s), id=text(f"P{i}"), family=ints(i % 2), stability=floats(i - 0.5, 9)))
