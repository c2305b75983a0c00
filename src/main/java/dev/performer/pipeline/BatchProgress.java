package dev.performer.pipeline;

import dev.performer.OptionalLibrary;
import dev.performer.Terminal;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Listens to how many rows are done; called by one thread at a time. */
public interface BatchProgress extends AutoCloseable {
  /**
   * Some rows are done.
   *
   * @param rows in this run
   * @param fraction of all input, from 0 to 1
   */
  default void rows(long rows, double fraction) {}

  /** One line for a person. */
  default void message(String line) {}

  @Override
  default void close() {}

  /** Ignores everything. */
  static BatchProgress silent() {
    return new BatchProgress() {};
  }

  /** A bar with the time left on a terminal, where its library is present; else a line a minute. */
  static BatchProgress on(PrintStream out) {
    return Terminal.isPresent() && OptionalLibrary.PROGRESS_BAR.isPresent() ? bar(out) : lines(out);
  }

  /** A line for every minute, for logs. */
  static BatchProgress lines(PrintStream out) {
    return new BatchProgress() {
      private static final double INTERVAL = 60; // seconds
      private final long start = System.nanoTime();
      private double first = -1;
      private double shown;

      @Override
      public void rows(long rows, double fraction) {
        double seconds = (System.nanoTime() - start) / 1e9;
        first = first < 0 ? fraction : first;
        if (seconds - shown >= INTERVAL) {
          shown = seconds;
          double left = seconds * (1 - fraction) / Math.max(1e-9, fraction - first);
          String line = "%d rows  %.0f rows/s  %.1f %%  %.0f s left%n";
          out.printf(Locale.ROOT, line, rows, rows / seconds, 100 * fraction, left);
        }
      }

      @Override
      public void message(String line) {
        out.println(line);
      }
    };
  }

  /** A bar that is redrawn in place. */
  static BatchProgress bar(PrintStream out) {
    return new BatchProgress() {
      private static final int STEPS = 1000; // input has no number of rows until it is read
      private final long start = System.nanoTime();
      private ProgressBar bar;

      @Override
      public void rows(long rows, double fraction) {
        if (bar == null) {
          bar =
              new ProgressBarBuilder()
                  .setTaskName("rows")
                  .setInitialMax(STEPS)
                  .setStyle(ProgressBarStyle.ASCII)
                  .setUpdateIntervalMillis(200)
                  .setConsumer(new ConsoleProgressBarConsumer(out, Terminal.columns()))
                  .startsFrom((long) (STEPS * fraction), Duration.ZERO)
                  .build();
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        bar.stepTo((long) (STEPS * fraction));
        String text = " %d rows, %.0f rows/s";
        bar.setExtraMessage(String.format(Locale.ROOT, text, rows, rows / seconds));
      }

      @Override
      public void message(String line) {
        out.println((bar == null ? "" : "\r\033[K") + line);
      }

      @Override
      public void close() {
        if (bar != null) {
          bar.close();
        }
      }
    };
  }
}
