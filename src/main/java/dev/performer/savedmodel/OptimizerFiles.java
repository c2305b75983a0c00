package dev.performer.savedmodel;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Tensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;

/**
 * The state of an optimizer beside the model that it trained: a TensorFlow checkpoint in {@code
 * assets.extra/optimizer/}, whose keys are those of a training run's checkpoints.
 */
public final class OptimizerFiles {
  /** The folder inside a SavedModel. */
  public static final Path FOLDER = Path.of("assets.extra", "optimizer");

  private OptimizerFiles() {}

  /** The checkpoint's prefix, if a SavedModel has one. */
  public static Optional<Path> prefix(Path model) {
    Path prefix = model.resolve(FOLDER).resolve("variables");
    return CheckpointReader.exists(prefix) ? Optional.of(prefix) : Optional.empty();
  }

  /** Writes float32 and int64 arrays by checkpoint key. */
  static void write(Path model, Map<String, NpyArray> values) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try {
      values.forEach(
          (key, value) -> {
            var type = value.type() == NpyType.INT64 ? DataType.DT_INT64 : DataType.DT_FLOAT;
            Shape shape = Shape.of(value.shape());
            tensors.put(key, Tensors.ofBytes(type, shape, value.buffer()));
          });
      SaveRestore.write(model.resolve(FOLDER).resolve("variables"), tensors, tf -> Map.of());
    } finally {
      tensors.values().forEach(Tensor::close);
    }
  }
}
