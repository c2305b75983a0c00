package dev.performer.study;

import dev.performer.PerformerException;
import java.io.IOException;
import java.util.Map;
import org.tensorflow.proto.RunMetadata;

/**
 * A case whose process stays open and takes turns, round by round, with the others of its group, so
 * that what else the machine does hits all of them alike. A group has a {@link MachinePeak} of its
 * own among them.
 */
interface InTurns<C> extends Benchmark.Case<C> {
  /** Cases of equal groups that follow one another are open at the same time. */
  String group();

  /** Builds, in the process of the case, what is measured. */
  Open open() throws IOException;

  /** This with what was measured, by the names of {@link Open#work}. */
  C with(Map<String, Timing> timings);

  /** What formulas have the work cost, by the same names; none where there is no formula. */
  default Map<String, Cost> costs() {
    return Map.of();
  }

  /** About how long a round takes on two cores of a server; {@link #seconds} is for opening. */
  double roundSeconds();

  /** Alone, in this process. */
  @Override
  default C measure() throws IOException {
    try (Open open = open()) {
      Laps.Opened opened = Laps.warmUp(open);
      return with(Timing.of(opened, Laps.rounds(open, Rounds.ALONE)));
    }
  }

  /** Owns graphs and sessions. */
  interface Open extends AutoCloseable {
    /** By name; in this order it is run, so that memory grows from one to the next. */
    Map<String, Work> work();

    @Override
    void close();
  }

  /** What is timed. */
  interface Work {
    /** Once, to its end. */
    void run();

    /** The same with TensorFlow's trace of it. @throws PerformerException if there is none */
    default RunMetadata traced() {
      throw new PerformerException("this work has no trace of TensorFlow's");
    }
  }
}
