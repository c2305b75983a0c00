package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.SortedMap;
import java.util.stream.LongStream;

/**
 * The tensors in a file or directory of a foreign format, under the names that the format gives
 * them, with {@code /} between levels. Values are read on demand; whoever opened it closes it.
 */
public interface WeightFile extends AutoCloseable {

  /** What was opened. */
  Path path();

  /** The format's name for people, such as {@code Flax msgpack}. */
  String format();

  /** What is there, without values. */
  SortedMap<String, Info> tensors();

  /**
   * What belongs to a training run and not to the model: moments of optimizers, counters, metrics.
   * {@link #tensors} does not have them; {@link #read} reads them.
   */
  SortedMap<String, Info> trainingState();

  /**
   * The name that a variable had in Python, without {@code :0}; the tensor's own where the file has
   * no other.
   *
   * @param tensor a key of {@link #tensors} or {@link #trainingState}
   */
  default String variable(String tensor) {
    return tensor.replaceFirst(":0$", "");
  }

  /** The model's configuration as Keras wrote it: an object with {@code class_name, config}. */
  default Optional<JsonNode> modelConfig() {
    return Optional.empty();
  }

  /**
   * Reads a tensor; bfloat16 and float16 are widened to float32.
   *
   * @throws dev.performer.PerformerException if there is no such tensor or its bytes are broken:
   *     names file and tensor
   */
  NpyArray read(String name);

  @Override
  void close();

  /**
   * One tensor.
   *
   * @param type element type as the file has it, such as {@code bfloat16}
   * @param shape dimensions, empty for a scalar
   * @param bytes size of its elements in the file
   */
  record Info(String type, long[] shape, long bytes) {
    long elements() {
      return LongStream.of(shape).reduce(1, (a, b) -> a * b);
    }

    boolean isFloat() {
      return type.contains("float");
    }

    @Override
    public String toString() {
      return type + Arrays.toString(shape);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Info that
          && type.equals(that.type)
          && Arrays.equals(shape, that.shape)
          && bytes == that.bytes;
    }

    @Override
    public int hashCode() {
      return type.hashCode() * 31 + Arrays.hashCode(shape);
    }
  }
}
