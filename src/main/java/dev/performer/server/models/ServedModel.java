package dev.performer.server.models;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EngineOptions;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.TextEngine;
import dev.performer.savedmodel.protos.WarmUp;
import dev.performer.serving.BatchingPredictor;
import java.time.Instant;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;

/**
 * A loaded version of a model, and what runs on it: all of one native session. Safe for use by
 * several threads while a {@link Lease} holds it.
 */
public final class ServedModel {
  private final String name;
  private final long version;
  private final Instant created;
  private final Predictor predictor;
  private final BatchingPredictor batches;
  private final Once<Embedder> embedder = new Once<>(Embedder::of);
  private final Once<Scorer> scorer = new Once<>(Scorer::of);
  private final Once<Optional<TextEngine>> texts;
  private int leases;
  private Runnable whenUnused; // null while it may be leased

  ServedModel(String name, long version, Predictor loaded, RepositoryOptions options) {
    this.name = name;
    this.version = version;
    created =
        Instant.ofEpochMilli(
            loaded.model().path().resolve("saved_model.pb").toFile().lastModified());
    var batching = new AtomicReference<BatchingPredictor>();
    predictor =
        loaded.through(
            runner -> {
              batching.set(BatchingPredictor.of(runner, options.batches()));
              return batching.get();
            });
    batches = batching.get();
    texts = new Once<>(model -> engine(model, options.texts()));
  }

  public String name() {
    return name;
  }

  public long version() {
    return version;
  }

  /** When its graph was written. */
  public Instant created() {
    return created;
  }

  /** What it is, and how it is used. */
  public Model model() {
    return predictor.model();
  }

  /** Runs a signature. @throws dev.performer.PerformerException if the inputs do not fit */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    return predictor.predict(signature, inputs);
  }

  /**
   * The same for some of the outputs, up to a time.
   *
   * @param outputs by name; null for all
   * @param deadline when the caller gives up; null for never
   * @throws dev.performer.BusyException if too many calls wait
   * @throws dev.performer.DeadlineException if the deadline passes
   */
  public Map<String, NpyArray> predict(
      String signature,
      Map<String, NpyArray> inputs,
      Collection<String> outputs,
      Instant deadline) {
    return batches.predict(signature, inputs, outputs, deadline);
  }

  /** Runs the requests that its SavedModel has for that. @throws PerformerException if one fails */
  void warmUp() {
    WarmUp.run(batches);
  }

  /** Runs signatures without waiting; not to be closed. */
  public BatchingPredictor batches() {
    return batches;
  }

  /** The model itself; not to be closed. */
  public Predictor predictor() {
    return predictor;
  }

  /** Not to be closed. @throws dev.performer.PerformerException if it gives no vectors of texts */
  public Embedder embedder() {
    return embedder.get(predictor);
  }

  /** Not to be closed. @throws dev.performer.PerformerException if it is no language model */
  public Scorer scorer() {
    return scorer.get(predictor);
  }

  /** What continues texts, if it can; not to be closed. */
  public Optional<TextEngine> texts() {
    return texts.get(predictor);
  }

  /** The same, if it has been called for. */
  public Optional<TextEngine> madeTexts() {
    return texts.made().flatMap(engine -> engine);
  }

  private static Optional<TextEngine> engine(Predictor loaded, EngineOptions options) {
    try {
      return Optional.of(TextEngine.of(loaded, options));
    } catch (PerformerException e) {
      return Optional.empty();
    }
  }

  /** False once it has been retired. */
  synchronized boolean acquire() {
    if (whenUnused != null) {
      return false;
    }
    leases++;
    return true;
  }

  void release() {
    Runnable last;
    synchronized (this) {
      leases--;
      last = leases == 0 ? whenUnused : null;
    }
    free(last);
  }

  /** Frees it when the last lease ends, and then runs something. */
  void retire(Runnable then) {
    boolean isUnused;
    synchronized (this) {
      whenUnused = then;
      isUnused = leases == 0;
    }
    free(isUnused ? then : null);
  }

  private void free(Runnable then) {
    if (then != null) {
      madeTexts().ifPresent(TextEngine::close);
      batches.close();
      predictor.close();
      then.run();
    }
  }

  /** Made when it is first needed. */
  private static final class Once<T> {
    private final Function<Predictor, T> maker;
    private T made;

    private Once(Function<Predictor, T> maker) {
      this.maker = maker;
    }

    private synchronized T get(Predictor predictor) {
      made = made == null ? maker.apply(predictor) : made;
      return made;
    }

    private synchronized Optional<T> made() {
      return Optional.ofNullable(made);
    }
  }
}
