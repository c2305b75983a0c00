package dev.performer.serving;

import dev.performer.BusyException;
import dev.performer.DeadlineException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SideEffects;
import dev.performer.savedmodel.SignatureRunner;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Runs signatures for many callers at a time: calls that arrive while others run are joined along
 * the first dimension, and each caller gets its own rows, as from a run of its own but for rounding
 * (≤ 1e-5).
 *
 * <p>Joined are calls of one signature whose inputs and outputs have a first dimension of any size,
 * where shapes agree otherwise; token ids of different length are padded where the model's card
 * tells what padding is. Each model has to prove first that it computes rows by themselves; other
 * signatures run call by call. Those that change variables run one after the other, in order. A
 * call that fails, fails alone.
 *
 * <p>Where nothing runs, a call runs at once in its caller's thread. One of many rows runs in
 * pieces where rows are computed by themselves. Safe for use by many threads.
 */
public final class BatchingPredictor implements SignatureRunner, AutoCloseable {
  private static final int MOST_OUTPUT_CHOICES = 1000;

  private final SignatureRunner model;
  private final SavedModelDirectory directory;
  private final BatchOptions options;
  private final Optional<ModelCard> card;
  private final Map<List<Object>, JoinedCalls> signatures = new ConcurrentHashMap<>();
  private final ExecutorService workers = Executors.newCachedThreadPool(threads("predict"));
  private final ScheduledThreadPoolExecutor timer =
      new ScheduledThreadPoolExecutor(1, threads("predict-timer"));

  private final CallQueue queue;
  private final AtomicLong called = new AtomicLong();
  private final AtomicLong runs = new AtomicLong();

  private BatchingPredictor(SignatureRunner model, BatchOptions options) {
    this.model = model;
    directory = model.directory();
    this.options = options;
    card = ModelCard.read(directory.path());
    queue =
        new CallQueue(
            directory.path(),
            options,
            nanos -> timer.schedule(this::runNext, nanos, TimeUnit.NANOSECONDS));
    timer.setRemoveOnCancelPolicy(true);
    timer.setRejectedExecutionHandler(new ThreadPoolExecutor.DiscardPolicy());
    timer.setKeepAliveTime(10, TimeUnit.SECONDS);
    timer.allowCoreThreadTimeOut(true);
  }

  private static ThreadFactory threads(String name) {
    AtomicInteger number = new AtomicInteger();
    return run -> {
      Thread thread = new Thread(run, name + "-" + number.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }

  /** On a loaded model, which stays its caller's and must be open until this is closed. */
  public static BatchingPredictor of(SignatureRunner loaded, BatchOptions options) {
    return new BatchingPredictor(loaded, options);
  }

  /**
   * What was counted.
   *
   * @param calls that ran or failed
   * @param runs of the model
   * @param waiting calls that have not begun
   */
  public record Statistics(long calls, long runs, int waiting) {}

  @Override
  public SavedModelDirectory directory() {
    return directory;
  }

  @Override
  public Map<String, NpyArray> predict(
      String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
    return predict(signature, inputs, outputs, null);
  }

  /**
   * The same for some of the outputs, up to a time.
   *
   * @param outputs by name; null for all
   * @param deadline when the caller gives up; null for never
   * @throws PerformerException if a name, type or shape does not fit, or the model fails
   * @throws BusyException if too many calls wait
   * @throws DeadlineException if the deadline passes before there is a result
   */
  public Map<String, NpyArray> predict(
      String signature,
      Map<String, NpyArray> inputs,
      Collection<String> outputs,
      Instant deadline) {
    requireTime(deadline);
    Call call = call(signature, inputs, outputs);
    if (begin(call)) {
      runAndRelease(List.of(call));
    }
    try {
      return deadline == null
          ? call.result.get()
          : call.result.get(left(deadline), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      call.result.cancel(false);
      throw late();
    } catch (InterruptedException e) {
      call.result.cancel(false);
      Thread.currentThread().interrupt();
      throw new PerformerException("the call was interrupted", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new PerformerException("the signature " + signature + " failed: " + e.getCause(), e);
    }
  }

  /**
   * The same without waiting. What is wrong with the call itself is thrown here. Cancelling the
   * future takes a waiting call out of the queue; one that runs ends by itself.
   */
  public CompletableFuture<Map<String, NpyArray>> submit(
      String signature,
      Map<String, NpyArray> inputs,
      Collection<String> outputs,
      Instant deadline) {
    requireTime(deadline);
    Call call = call(signature, inputs, outputs);
    if (begin(call)) {
      workers.execute(() -> runAndContinue(List.of(call)));
    }
    if (deadline != null && !call.result.isDone()) {
      var alarm =
          timer.schedule(
              () -> call.result.completeExceptionally(late()),
              left(deadline),
              TimeUnit.NANOSECONDS);
      call.result.whenComplete((result, failure) -> alarm.cancel(false));
    }
    return call.result;
  }

  private static long left(Instant deadline) {
    Duration left = Duration.between(Instant.now(), deadline);
    return left.compareTo(Duration.ofDays(1000)) > 0 ? Long.MAX_VALUE : left.toNanos();
  }

  private static void requireTime(Instant deadline) {
    if (deadline != null && !deadline.isAfter(Instant.now())) {
      throw new DeadlineException("the deadline passed before the call began");
    }
  }

  private static DeadlineException late() {
    return new DeadlineException("the deadline passed before there was a result");
  }

  private Call call(String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
    var spec = directory.signature(signature);
    var names = List.copyOf(outputs == null ? spec.outputs().keySet() : new TreeSet<>(outputs));
    names.forEach(spec::output);
    card.map(ModelCard::languageModel)
        .ifPresent(model -> model.requireShort(inputs, directory.path()));
    var fit = spec.converted(inputs);
    if (signatures.size() > MOST_OUTPUT_CHOICES) {
      signatures.clear();
    }
    var calls =
        signatures.computeIfAbsent(
            List.of(signature, names),
            key -> {
              boolean isSerial = SideEffects.of(directory, spec);
              return new JoinedCalls(model, spec, names, isSerial, options, card);
            });
    return new Call(calls, fit);
  }

  /** Whether the caller runs it now; else it waits, and runs in a thread of this object. */
  private boolean begin(Call call) {
    if (queue.begin(call)) {
      return true;
    }
    call.result.whenComplete(
        (result, failure) -> {
          if (failure != null) {
            queue.withdraw(call);
          }
        });
    runNext();
    return false;
  }

  /** Hands everything that is due to other threads. */
  private void runNext() {
    for (List<Call> calls = queue.next(); calls != null; calls = queue.next()) {
      List<Call> due = calls;
      workers.execute(() -> runAndContinue(due));
    }
  }

  private void runAndRelease(List<Call> calls) {
    run(calls);
    queue.release(calls);
    runNext();
  }

  private void runAndContinue(List<Call> calls) {
    List<Call> due = calls;
    while (due != null) {
      run(due);
      queue.release(due);
      due = queue.next();
      runNext();
    }
  }

  /** Gives each call its result or failure. */
  private void run(List<Call> calls) {
    JoinedCalls signature = calls.get(0).signature;
    List<Call> open = calls.stream().filter(call -> !call.result.isDone()).toList();
    Optional<List<Map<String, NpyArray>>> joined = Optional.empty();
    try {
      if (open.size() > 1) {
        joined = signature.runJoined(open.stream().map(call -> call.inputs).toList());
      }
    } catch (Throwable e) { // such as memory that is short
      open.forEach(call -> call.result.completeExceptionally(e));
      return;
    }
    called.addAndGet(open.size());
    runs.addAndGet(joined.isPresent() ? 1 : open.size());
    for (int i = 0; i < open.size(); i++) {
      Call call = open.get(i);
      if (joined.isPresent()) {
        call.result.complete(joined.get().get(i));
      } else if (!call.result.isDone()) {
        runAlone(call);
      }
    }
  }

  private void runAlone(Call call) {
    try {
      LargeCall large = LargeCall.of(call.signature, call.inputs);
      boolean isLarge = large.rows() > options.maxBatch() && large.hasPieces();
      call.result.complete(
          isLarge ? large.run(call.result::isDone) : call.signature.runAlone(call.inputs));
    } catch (Throwable e) {
      call.result.completeExceptionally(e);
    }
  }

  /** What was counted so far. */
  public Statistics statistics() {
    return new Statistics(called.get(), runs.get(), queue.waiting());
  }

  /** Calls that wait fail; those that run end first. The model is not closed. */
  @Override
  public void close() {
    String text = "%s was closed before the call began".formatted(directory.path());
    queue.close().forEach(call -> call.result.completeExceptionally(new PerformerException(text)));
    timer.shutdownNow();
    queue.awaitIdle();
    workers.shutdown();
  }
}
