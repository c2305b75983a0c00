package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchPosition;
import dev.performer.graph.Tensors;
import dev.performer.training.run.Evaluation;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.zip.CRC32;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/**
 * Evaluates on one pass over a source, with averaged weights where there are any.
 *
 * @param limit batches at most; 0 for all
 */
record SourceValidation(Trainable model, BatchSource validation, int limit) implements Validation {

  /**
   * Loss, accuracy and perplexity; sums run in float64, so the batches do not matter.
   *
   * @param stop polled before each batch
   * @return empty if it was stopped
   * @throws PerformerException if there is nothing to guess, or the model cannot run the batches
   */
  @Override
  public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    double[] sums = new double[3];
    Measures.Tally tally = model.measures().tallies().begin();
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
    if (sums[2] == 0) {
      throw new PerformerException(
          validation.name()
              + " holds nothing to guess: no sequence, or none of two letters or more");
    }
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
    try (Feed feed = model.feed().of(validation.next())) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      model.diagnostics().values().forEach(runner::fetch);
      try (Result result = runner.run()) {
        int i = 0;
        for (String name : model.diagnostics().keySet()) {
          values.put(name, Tensors.doubles(result.get(i++))[0]);
        }
      }
    }
    return values;
  }

  @Override
  public Optional<String> reportOnce() {
    return validation.reportOnce();
  }

  private double[] run(Session session, LabelledBatch batch, Measures.Tally tally) {
    try (Feed feed = model.feed().of(batch)) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      runner.fetch(model.evaluation());
      model.measures().predictions().ifPresent(runner::fetch);
      try (Result result = runner.run()) {
        tally.add(batch, result.size() > 1 ? Tensors.floats(result.get(1)) : new float[0]);
        return Tensors.doubles(result.get(0));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw batch.failed("evaluation", e);
      }
    }
  }
}
