package dev.performer.training;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.tensorflow.Output;
import org.tensorflow.types.TFloat32;

/**
 * What an evaluation measures by name besides loss, accuracy and perplexity.
 *
 * @param predictions what the model computes of a batch, {@code [B, …]}, fetched for each; empty
 *     where the loss is enough
 * @param tallies begins a pass over the data
 */
public record Measures(Optional<Output<TFloat32>> predictions, Supplier<Tally> tallies) {
  /** Nothing besides. */
  public static final Measures NONE = new Measures(Optional.empty(), () -> loss -> Map.of());

  /** One pass over the data. */
  @FunctionalInterface
  public interface Tally {
    /** Takes a batch. @param predictions in C order; empty where none are fetched */
    default void add(LabelledBatch batch, float[] predictions) {}

    /** What all batches come to, by name. */
    Map<String, Double> result(double loss);
  }

  /** The same predictions, measured in another way. */
  public Measures with(Supplier<Tally> others) {
    return new Measures(predictions, others);
  }

  public static Map<String, Double> ofBits(double loss) {
    return Map.of("bitsPerDimension", loss / Math.log(2));
  }

  /** The loss in bits, as image models are compared: each guess is one dimension. */
  public static Measures bitsPerDimension() {
    return new Measures(Optional.empty(), () -> Measures::ofBits);
  }
}
