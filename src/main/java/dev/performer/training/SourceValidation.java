package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchPosition;
import dev.performer.graph.Tensors;
import dev.performer.training.run.Evaluation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.zip.CRC32;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/**
 * Evaluates on one pass over a source, with averaged weights where there are any.
 *
 * @param limit batches at most; 0 for all
 */
record SourceValidation(Trainable model, BatchSource validation, int limit) implements Validation {

  /** Loss, accuracy and perplexity; sums run in float64, so the batches do not matter. */
  @Override
  public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    double[] sums = new double[3];
    Measures.Tally tally = model.measures().tallies().get();
    long sequences = 0;
    validation.restore(BatchPosition.START);
    for (int n = 0; (limit == 0 || n < limit) && validation.hasNext(); n++) {
      if (stop.getAsBoolean()) {
        return Optional.empty();
      }
      LabelledBatch batch = validation.next();
      double[] own = run(session, batch, tally);
      for (int i = 0; i < sums.length; i++) {
        sums[i] += own[i];
      }
      sequences += batch.rows();
    }
    PerformerException.require(
        sums[2] != 0,
        "%s holds nothing to guess: no sequence, or none of two letters or more",
        validation.name());
    double mean = sums[0] / sums[2];
    double accuracy = sums[1] / sums[2];
    double seconds = (System.nanoTime() - start) / 1e9;
    return Optional.of(
        new Evaluation(
            mean,
            accuracy,
            Double.isNaN(accuracy) ? Double.NaN : Math.exp(mean),
            Math.round(sums[2]),
            sequences,
            seconds,
            tally.result(mean)));
  }

  @Override
  public String fingerprint() {
    CRC32 sum = new CRC32();
    validation.restore(BatchPosition.START);
    for (int n = 0; (limit == 0 || n < limit) && validation.hasNext(); n++) {
      validation.next().addTo(sum);
    }
    return Long.toHexString(sum.getValue());
  }

  /** The model's diagnostics on the first validation batch. */
  @Override
  public Map<String, Double> diagnostics(Session session) {
    validation.restore(BatchPosition.START);
    Map<String, Double> values = new LinkedHashMap<>();
    try (Feed feed = model.feed().apply(validation.next());
        var result = feed.run(session, model.diagnostics().values())) {
      int i = 0;
      for (String name : model.diagnostics().keySet()) {
        values.put(name, Tensors.doubles(result.get(i++))[0]);
      }
    }
    return values;
  }

  @Override
  public Optional<String> reportOnce() {
    return validation.reportOnce();
  }

  private double[] run(Session session, LabelledBatch batch, Measures.Tally tally) {
    List<Output<?>> fetched = new ArrayList<>(List.of(model.evaluation()));
    model.measures().predictions().ifPresent(fetched::add);
    try (Feed feed = model.feed().apply(batch);
        var result = feed.run(session, fetched)) {
      tally.add(batch, result.size() > 1 ? Tensors.floats(result.get(1)) : new float[0]);
      return Tensors.doubles(result.get(0));
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw batch.failed("evaluation", e);
    }
  }
}
