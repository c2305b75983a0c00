package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.graph.Tensors;
import dev.performer.training.run.Evaluation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.zip.CRC32;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/** What a {@link Trainer} measures on held-out data, and which of two measurements is better. */
public interface Validation {
  /** One pass over a source with a model's own sums: loss, accuracy and perplexity. */
  static Validation of(Trainable model, BatchSource source) {
    return of(model, source, 0);
  }

  /** The same of so many batches at most; 0 for all. */
  static Validation of(Trainable model, BatchSource source, int limit) {
    return of(model, source, limit, model.measures());
  }

  /** The same with other measures besides. */
  static Validation of(Trainable model, BatchSource source, int limit, Measures measures) {
    return of(model, source, limit, measures, sums -> {});
  }

  /** The same, where {@code each} learns the sums of a batch: losses, right guesses, weights. */
  static Validation of(
      Trainable model, BatchSource source, int limit, Measures measures, Consumer<double[]> each) {
    return new OfSource(model, source, limit, measures, each);
  }

  /**
   * Measures the model with the weights of a session; the same weights give the same numbers.
   *
   * @param stop polled now and then: whether training is to end
   * @return empty if it was stopped
   */
  Optional<Evaluation> evaluate(Session session, BooleanSupplier stop);

  /** Equal where evaluations can be compared: an earlier part of a run may have had other data. */
  default String fingerprint() {
    return "";
  }

  /** What the best weights have least of. */
  default double distance(Evaluation evaluation) {
    return evaluation.loss();
  }

  /** Whether the best evaluation is good enough to end training before its last step. */
  default boolean isEnough(Evaluation best) {
    return false;
  }

  /** The numbers in words, for a line of a log. */
  default String describe(Evaluation evaluation) {
    return "validation " + evaluation.describe();
  }

  /** The measure that is drawn beside the training loss; where there is none, the loss. */
  default String plotted() {
    return "perplexity";
  }

  /** What {@link Trainable#diagnostics} are on some of the data. */
  default Map<String, Double> diagnostics(Session session) {
    return Map.of();
  }

  /** As {@link BatchSource#reportOnce}. */
  default Optional<String> reportOnce() {
    return Optional.empty();
  }

  /** No token of the data is guessed. */
  final class NothingToGuess extends PerformerException {
    private static final long serialVersionUID = 1;

    private NothingToGuess(String data) {
      super(data + " holds nothing to guess: no sequence, or none of two letters or more");
    }
  }

  /** One pass over a source, with averaged weights where there are any. */
  record OfSource(
      Trainable model, BatchSource source, int limit, Measures measures, Consumer<double[]> each)
      implements Validation {
    /** Sums run in float64, so the batches do not matter. */
    @Override
    public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
      long start = System.nanoTime();
      double[] sums = new double[3];
      Measures.Tally tally = measures.tallies().get();
      long sequences = 0;
      source.restore(BatchPosition.START);
      for (int n = 0; hasNext(n); n++) {
        if (stop.getAsBoolean()) {
          return Optional.empty();
        }
        LabelledBatch batch = source.next();
        double[] own = run(session, batch, tally);
        each.accept(own);
        for (int i = 0; i < sums.length; i++) {
          sums[i] += own[i];
        }
        sequences += batch.rows();
      }
      if (sums[2] == 0) {
        throw new NothingToGuess(source.name());
      }
      double mean = sums[0] / sums[2];
      double accuracy = sums[1] / sums[2];
      double perplexity = Double.isNaN(accuracy) ? Double.NaN : Math.exp(mean);
      long guesses = Math.round(sums[2]);
      double seconds = (System.nanoTime() - start) / 1e9;
      var more = tally.result(mean);
      return Optional.of(
          new Evaluation(mean, accuracy, perplexity, guesses, sequences, seconds, more));
    }

    private boolean hasNext(int done) {
      return (limit == 0 || done < limit) && source.hasNext();
    }

    private double[] run(Session session, LabelledBatch batch, Measures.Tally tally) {
      if (model.segments().isPresent()) {
        return walk(session, batch);
      }
      List<Output<?>> fetched = new ArrayList<>(List.of(model.evaluation()));
      measures.predictions().ifPresent(fetched::add);
      try (Feed feed = model.feed().apply(batch);
          var result = feed.run(session, fetched)) {
        tally.add(batch, result.size() > 1 ? Tensors.floats(result.get(1)) : new float[0]);
        return Tensors.doubles(result.get(0));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw batch.failed("evaluation", e);
      }
    }

    private double[] walk(Session session, LabelledBatch batch) {
      var segments = model.segments().orElseThrow().split(batch);
      try {
        return SegmentWalk.evaluating(model)
            .over(session, segments, i -> model.feed().apply(segments.get(i)));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw batch.failed("evaluation", e);
      }
    }

    @Override
    public String fingerprint() {
      CRC32 sum = new CRC32();
      source.restore(BatchPosition.START);
      for (int n = 0; hasNext(n); n++) {
        source.next().addTo(sum);
      }
      return Long.toHexString(sum.getValue());
    }

    /** On the first batch. */
    @Override
    public Map<String, Double> diagnostics(Session session) {
      source.restore(BatchPosition.START);
      Map<String, Double> values = new LinkedHashMap<>();
      try (Feed feed = model.feed().apply(model.first(source.next()));
          var result = feed.run(session, model.diagnostics().values())) {
        for (String name : model.diagnostics().keySet()) {
          values.put(name, Tensors.doubles(result.get(values.size()))[0]);
        }
      }
      return values;
    }

    @Override
    public Optional<String> reportOnce() {
      return source.reportOnce();
    }
  }
}
