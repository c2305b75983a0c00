package dev.performer.serving;

import static dev.performer.PerformerException.require;

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
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
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
  private static final Object SERIAL = "calls that change variables";
  private static final int MOST_OUTPUT_CHOICES = 1000;

  private final SignatureRunner model;
  private final SavedModelDirectory directory;
  private final BatchOptions options;
  private final Optional<ModelCard> card;
  private final int slots = Math.max(4, 2 * Runtime.getRuntime().availableProcessors());
  private final Map<List<Object>, JoinedCalls> signatures = new ConcurrentHashMap<>();
  private final ExecutorService workers = Executors.newCachedThreadPool(threads("predict"));
  private final ScheduledThreadPoolExecutor timer =
      new ScheduledThreadPoolExecutor(1, threads("predict-timer"));

  // Guarded by this.
  private final Map<Object, Lane> lanes = new LinkedHashMap<>();
  private final Statistics.Counter counter = new Statistics.Counter();
  private int running;
  private boolean isSerialRunning;
  private int waiting;
  private long wakes = Long.MAX_VALUE; // when the timer looks for calls that waited long enough
  private boolean isClosed;

  private BatchingPredictor(SignatureRunner model, BatchOptions options) {
    this.model = model;
    directory = model.directory();
    this.options = options;
    card = ModelCard.read(directory.path());
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
  public record Statistics(long calls, long runs, int waiting) {
    private static final class Counter {
      long calls;
      long runs;
    }
  }

  private static final class Lane {
    final Deque<Call> calls = new ArrayDeque<>();
    int rows;
  }

  private static final class Call {
    final JoinedCalls signature;
    final Object lane;
    final Map<String, NpyArray> inputs;
    final int rows; // 0 if it runs alone whatever happens
    final long arrived = System.nanoTime();
    final CompletableFuture<Map<String, NpyArray>> result = new CompletableFuture<>();

    Call(JoinedCalls signature, Map<String, NpyArray> inputs) {
      this.signature = signature;
      this.inputs = inputs;
      rows = signature.rows(inputs);
      lane = signature.isSerial() ? SERIAL : rows > 0 ? signature.lane(inputs) : signature;
    }

    boolean isJoined() {
      return rows > 0 && signature.isJoined();
    }
  }

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
    List<Call> full;
    synchronized (this) {
      require(!isClosed, "%s is being closed", directory.path());
      if (waiting == 0 && (running == 0 || !call.isJoined()) && mayRun(call)) {
        started(call);
        return true;
      }
      if (waiting >= options.maxQueue()) {
        String text = "%s: %d calls wait already, which is the most; try again";
        throw new BusyException(text.formatted(directory.path(), waiting));
      }
      Lane lane = lanes.computeIfAbsent(call.lane, key -> new Lane());
      lane.calls.add(call);
      lane.rows += call.rows;
      waiting++;
      full = next();
    }
    call.result.whenComplete(
        (result, failure) -> {
          if (failure != null) {
            withdraw(call);
          }
        });
    if (full != null) {
      workers.execute(() -> runAndContinue(full));
    }
    return false;
  }

  private boolean mayRun(Call call) {
    return running < slots && !(call.signature.isSerial() && isSerialRunning);
  }

  private void started(Call first) {
    running++;
    isSerialRunning |= first.signature.isSerial();
  }

  /** Takes a call that was cancelled, or whose deadline passed, out of the queue. */
  private synchronized void withdraw(Call call) {
    Lane lane = lanes.get(call.lane);
    if (lane != null && lane.calls.remove(call)) {
      removed(call, lane);
    }
  }

  private void removed(Call call, Lane lane) {
    lane.rows -= call.rows;
    waiting--;
    if (lane.calls.isEmpty()) {
      lanes.remove(call.lane);
    }
  }

  /** The calls that run next, if it is time and there is a place; the timer is set for others. */
  private synchronized List<Call> next() {
    long now = System.nanoTime();
    long delay = options.maxDelay().toNanos();
    Lane oldest = null;
    long earliest = Long.MAX_VALUE; // that a lane's first call has waited long enough, from now
    for (Lane lane : lanes.values()) {
      Call first = lane.calls.peek();
      if (mayRun(first)) {
        long left = first.arrived + delay - now;
        boolean isFull = lane.rows >= first.signature.mostRows(first.inputs, first.rows);
        boolean isDue = running == 0 || !first.isJoined() || isFull || left <= 0;
        boolean isOlder = oldest == null || first.arrived - oldest.calls.peek().arrived < 0;
        oldest = isDue && isOlder ? lane : oldest;
        earliest = isDue ? earliest : Math.min(earliest, left);
      }
    }
    if (oldest == null) {
      wakeIn(now, earliest);
      return null;
    }
    return take(oldest);
  }

  private List<Call> take(Lane lane) {
    List<Call> taken = new ArrayList<>();
    Call first = lane.calls.peek();
    int most = first.isJoined() ? first.signature.mostRows(first.inputs, first.rows) : 0;
    int rows = 0;
    do {
      Call call = lane.calls.poll();
      rows += call.rows;
      removed(call, lane);
      taken.add(call);
    } while (first.isJoined() && !lane.calls.isEmpty() && rows + lane.calls.peek().rows <= most);
    started(first);
    return taken;
  }

  private void wakeIn(long now, long nanos) {
    if (nanos != Long.MAX_VALUE && !isClosed && (wakes == Long.MAX_VALUE || now + nanos < wakes)) {
      wakes = now + nanos;
      timer.schedule(this::wake, nanos, TimeUnit.NANOSECONDS);
    }
  }

  private void wake() {
    synchronized (this) {
      wakes = Long.MAX_VALUE;
    }
    runNext();
  }

  /** Hands everything that is due to other threads. */
  private void runNext() {
    for (List<Call> calls = next(); calls != null; calls = next()) {
      List<Call> due = calls;
      workers.execute(() -> runAndContinue(due));
    }
  }

  private void runAndRelease(List<Call> calls) {
    run(calls);
    release(calls);
    runNext();
  }

  private void runAndContinue(List<Call> calls) {
    List<Call> due = calls;
    while (due != null) {
      run(due);
      release(due);
      due = next();
      runNext();
    }
  }

  private synchronized void release(List<Call> calls) {
    running--;
    if (calls.get(0).signature.isSerial()) {
      isSerialRunning = false;
    }
    notifyAll();
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
    count(open.size(), joined.isPresent() ? 1 : open.size());
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

  private synchronized void count(int calls, int runs) {
    counter.calls += calls;
    counter.runs += runs;
  }

  /** What was counted so far. */
  public synchronized Statistics statistics() {
    return new Statistics(counter.calls, counter.runs, waiting);
  }

  /** Calls that wait fail; those that run end first. The model is not closed. */
  @Override
  public void close() {
    List<Call> left = new ArrayList<>();
    synchronized (this) {
      isClosed = true;
      lanes.values().forEach(lane -> left.addAll(lane.calls));
      lanes.clear();
      waiting = 0;
    }
    String text = "%s was closed before the call began".formatted(directory.path());
    left.forEach(call -> call.result.completeExceptionally(new PerformerException(text)));
    timer.shutdownNow();
    boolean isInterrupted = false;
    synchronized (this) {
      while (running > 0) {
        try {
          wait();
        } catch (InterruptedException e) {
          isInterrupted = true;
        }
      }
    }
    workers.shutdown();
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
