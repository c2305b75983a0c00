package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Optional;
import java.util.SortedMap;

/** Weights of a format that also tells what they belong to, as Keras and TensorFlow 2 do. */
public interface DescribedWeights extends WeightFile {

  /**
   * The name that a variable had in Python, without {@code :0}, where it differs from the tensor's
   * name in the file.
   *
   * @param tensor a key of {@link #tensors}
   */
  Optional<String> variableName(String tensor);

  /** The model's configuration as Keras wrote it: an object with {@code class_name, config}. */
  Optional<JsonNode> modelConfig();

  /**
   * What belongs to a training run and not to the model: moments of optimizers, counters, metrics.
   * {@link #tensors} does not have them; {@link #read} reads them.
   */
  SortedMap<String, Info> trainingState();
}
