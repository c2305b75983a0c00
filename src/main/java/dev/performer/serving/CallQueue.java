package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.BusyException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;

/**
 * Which calls of a model wait, and which run next: those of one lane together, the oldest first.
 * Safe for use by many threads.
 */
final class CallQueue {
  private static final class Lane {
    final Deque<Call> calls = new ArrayDeque<>();
    int rows;
  }

  private final Path model;
  private final BatchOptions options;
  private final LongConsumer alarm;
  private final int slots = Math.max(4, 2 * Runtime.getRuntime().availableProcessors());
  private final Map<Object, Lane> lanes = new LinkedHashMap<>();
  private int running;
  private boolean isSerialRunning;
  private int waiting;
  private long wakes; // when the alarm rings, by the clock; meaningful while it is set
  private boolean isAlarmSet;
  private boolean isClosed;

  /**
   * An empty one.
   *
   * @param alarm sees to it that {@link #next} is called again after so many nanoseconds
   */
  CallQueue(Path model, BatchOptions options, LongConsumer alarm) {
    this.model = model;
    this.options = options;
    this.alarm = alarm;
  }

  /**
   * Whether the call begins to run now; else it waits for {@link #next}.
   *
   * @throws BusyException if too many calls wait
   */
  synchronized boolean begin(Call call) {
    require(!isClosed, "%s is being closed", model);
    if (waiting == 0 && (running == 0 || !call.isJoined()) && mayRun(call)) {
      started(call);
      return true;
    }
    if (waiting >= options.maxQueue()) {
      String text = "%s: %d calls wait already, which is the most; try again";
      throw new BusyException(text.formatted(model, waiting));
    }
    Lane lane = lanes.computeIfAbsent(call.lane, key -> new Lane());
    lane.calls.add(call);
    lane.rows += call.rows;
    waiting++;
    return false;
  }

  private boolean mayRun(Call call) {
    return running < slots && !(call.signature.isSerial() && isSerialRunning);
  }

  private void started(Call first) {
    running++;
    isSerialRunning |= first.signature.isSerial();
  }

  /** Takes out a call that was cancelled, or whose deadline passed, if it waits still. */
  synchronized void withdraw(Call call) {
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

  /**
   * The calls that run now, if it is time and there is a place; null, and the alarm set, if not.
   */
  synchronized List<Call> next() {
    long now = System.nanoTime();
    isAlarmSet &= wakes - now > 0;
    long delay = options.maxDelay().toNanos();
    Lane oldest = null;
    long earliest = Long.MAX_VALUE; // that a lane's first call has waited long enough, from now
    for (Lane lane : lanes.values()) {
      Call first = lane.calls.peek();
      if (mayRun(first)) {
        long left = first.arrived + delay - now;
        boolean isFull = lane.rows >= first.mostRows();
        boolean isDue = running == 0 || !first.isJoined() || isFull || left <= 0;
        boolean isOlder = oldest == null || first.arrived - oldest.calls.peek().arrived < 0;
        oldest = isDue && isOlder ? lane : oldest;
        earliest = isDue ? earliest : Math.min(earliest, left);
      }
    }
    if (oldest != null) {
      return take(oldest);
    }
    if (earliest != Long.MAX_VALUE && !(isAlarmSet && wakes - now <= earliest)) {
      wakes = now + earliest;
      isAlarmSet = true;
      alarm.accept(earliest);
    }
    return null;
  }

  private List<Call> take(Lane lane) {
    List<Call> taken = new ArrayList<>();
    Call first = lane.calls.peek();
    int most = first.isJoined() ? first.mostRows() : 0;
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

  /** After calls that ran together. */
  synchronized void release(List<Call> calls) {
    running--;
    if (calls.get(0).signature.isSerial()) {
      isSerialRunning = false;
    }
    notifyAll();
  }

  synchronized int waiting() {
    return waiting;
  }

  /** Nothing begins from now on. @return those that waited */
  synchronized List<Call> close() {
    isClosed = true;
    List<Call> left = new ArrayList<>();
    lanes.values().forEach(lane -> left.addAll(lane.calls));
    lanes.clear();
    waiting = 0;
    return left;
  }

  /** Waits until nothing runs; an interruption is kept for later. */
  synchronized void awaitIdle() {
    boolean isInterrupted = false;
    while (running > 0) {
      try {
        wait();
      } catch (InterruptedException e) {
        isInterrupted = true;
      }
    }
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
