package dev.performer.savedmodel;

import dev.performer.data.NpyArray;
import java.util.Collection;
import java.util.Map;

/** What runs the signatures of one loaded model on named arrays, for many threads at a time. */
public interface SignatureRunner {
  /** The model. */
  SavedModelDirectory directory();

  /**
   * Runs a signature.
   *
   * @param inputs one array per input, by name
   * @param outputs the names of those that are computed
   * @throws dev.performer.PerformerException if a name, type or shape does not fit, or the model
   *     fails
   */
  Map<String, NpyArray> predict(
      String signature, Map<String, NpyArray> inputs, Collection<String> outputs);
}
