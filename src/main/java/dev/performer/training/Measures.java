package dev.performer.training;

import java.util.Map;
import java.util.Optional;
import org.tensorflow.Output;
import org.tensorflow.types.TFloat32;

/**
 * What an evaluation measures by name besides loss, accuracy and perplexity.
 *
 * @param predictions what the model computes of a batch, {@code [B, …]}, fetched for each; empty
 *     where the loss is enough
 * @param tallies begins a pass over the data
 */
public record Measures(Optional<Output<TFloat32>> predictions, Tallies tallies) {
  /** Nothing besides. */
  public static final Measures NONE =
      new Measures(Optional.empty(), () -> new OfLoss(loss -> Map.of()));

  /** Begins a pass. */
  @FunctionalInterface
  public interface Tallies {
    Tally begin();
  }

  /** One pass over the data. */
  public interface Tally {
    /**
     * Takes a batch.
     *
     * @param predictions in C order; empty where none are fetched
     */
    void add(LabelledBatch batch, float[] predictions);

    /** What all batches come to, by name. */
    Map<String, Double> result(double loss);
  }

  private interface OfMeanLoss {
    Map<String, Double> of(double loss);
  }

  private record OfLoss(OfMeanLoss values) implements Tally {
    @Override
    public void add(LabelledBatch batch, float[] predictions) {}

    @Override
    public Map<String, Double> result(double loss) {
      return values.of(loss);
    }
  }

  /** The same predictions, measured in another way. */
  public Measures with(Tallies others) {
    return new Measures(predictions, others);
  }

  public static Map<String, Double> ofBits(double loss) {
    return Map.of("bitsPerDimension", loss / Math.log(2));
  }

  /** The loss in bits, as image models are compared: each guess is one dimension. */
  public static Measures bitsPerDimension() {
    return new Measures(Optional.empty(), () -> new OfLoss(Measures::ofBits));
  }
}
