package dev.performer.study;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A case that is open in a process of its own and runs a round whenever it is ordered to. Orders
 * are lines of its standard input, answers lines of JSON on its standard output.
 */
final class TurnsProcess implements AutoCloseable {
  private static final String ROUND = "round\n";
  private static final String PROFILE = "profile\n";

  private final InTurns<?> what;
  private final MeasuringProcess fork;
  private final BlockingQueue<Optional<String>> answers = new LinkedBlockingQueue<>();
  private final List<Map<String, Laps.Lap>> rounds = new ArrayList<>();
  private final Duration limit;
  private Laps.Opened opened;
  private double spent;

  /** What a round answers. */
  record Round(Map<String, Laps.Lap> laps) {}

  /** Starts it and waits until it is open. @param limit of all that it does */
  static TurnsProcess open(InTurns<?> what, Duration limit) {
    try {
      var arguments = MeasuringProcess.arguments(what);
      var output = ProcessBuilder.Redirect.PIPE;
      var fork = MeasuringProcess.start(TurnsProcess.class, arguments, output);
      var process = new TurnsProcess(what, fork, limit);
      try {
        process.opened = process.answer(Laps.Opened.class);
        return process;
      } catch (RuntimeException e) {
        process.close();
        throw e;
      }
    } catch (IOException e) {
      throw new PerformerException(what.label() + ": cannot be measured: " + e.getMessage(), e);
    }
  }

  private TurnsProcess(InTurns<?> what, MeasuringProcess fork, Duration limit) {
    this.what = what;
    this.fork = fork;
    this.limit = limit;
    Thread reader = new Thread(this::read, "answers");
    reader.setDaemon(true);
    reader.start();
  }

  private void read() {
    try (var lines =
        new BufferedReader(
            new InputStreamReader(fork.process().getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("{")) { // native code may write, too
          answers.add(Optional.of(line));
        }
      }
    } catch (IOException e) {
      // As its end.
    }
    answers.add(Optional.empty());
  }

  InTurns<?> what() {
    return what;
  }

  /** Runs one round unless it has had enough of them. */
  boolean round(Rounds wanted) {
    if (!wanted.goesOn(rounds.size(), spent)) {
      return false;
    }
    long start = System.nanoTime();
    order(ROUND);
    rounds.add(answer(Round.class).laps());
    spent += (System.nanoTime() - start) / 1e9;
    return true;
  }

  Map<String, Timing> timings() {
    return Timing.of(opened, rounds);
  }

  /** Where the time of some runs goes, by name. */
  Map<String, OpProfile> profile() {
    order(PROFILE);
    return answer(OpProfile.All.class).profiles();
  }

  private void order(String line) {
    try {
      OutputStream orders = fork.process().getOutputStream();
      orders.write(line.getBytes(StandardCharsets.UTF_8));
      orders.flush();
    } catch (IOException e) {
      // It has ended, which the answer shows.
    }
  }

  private <T> T answer(Class<T> type) {
    try {
      long left = limit.toMillis() - (long) (1e3 * spent);
      Optional<String> line = answers.poll(Math.max(1, left), TimeUnit.MILLISECONDS);
      require(line != null, "%s: no result after %s", what.label(), MeasuringProcess.words(limit));
      if (line.isEmpty()) {
        fork.requireGoodEnd(what.label());
        throw new PerformerException(what.label() + ": the measuring process ended too early");
      }
      JsonNode json = StrictJson.readTree(line.get().getBytes(StandardCharsets.UTF_8), "answer");
      return StrictJson.bind(json, type, what.label());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
  }

  @Override
  public void close() {
    fork.close();
  }

  /** The fork. Arguments: a class of cases, one of it as JSON. */
  public static void main(String[] args) throws IOException, ClassNotFoundException {
    BlockingQueue<String> orders = new LinkedBlockingQueue<>();
    Thread reader = new Thread(() -> listen(orders), "orders");
    reader.setDaemon(true);
    reader.start();
    var what = (InTurns<?>) MeasuringProcess.planned(args);
    try (var open = what.open();
        var out = new FileOutputStream(FileDescriptor.out)) {
      answer(out, Laps.warmUp(open));
      while (true) {
        boolean isRound = orders.take().equals(ROUND.strip());
        answer(out, isRound ? new Round(Laps.round(open)) : profiles(open));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static OpProfile.All profiles(InTurns.Open open) {
    Map<String, OpProfile> profiles = new LinkedHashMap<>();
    open.work().forEach((name, work) -> profiles.put(name, OpProfile.of(work)));
    return new OpProfile.All(profiles);
  }

  private static void answer(OutputStream out, Record answer) throws IOException {
    out.write((StrictJson.tree(answer) + "\n").getBytes(StandardCharsets.UTF_8));
    out.flush();
  }

  /** The end of the orders means that the parent is gone, or wants no more. */
  private static void listen(BlockingQueue<String> orders) {
    try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        orders.add(line);
      }
    } catch (IOException e) {
      // As their end.
    }
    MeasuringProcess.endAtOnce();
  }
}
