package dev.performer.training.run;

import dev.performer.OptionalLibrary;
import dev.performer.Terminal;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Listens to a run, in the thread that trains; what it throws ends the run. A listener overrides
 * what it wants to know; {@link #on} makes one for a person.
 */
public interface Progress extends AutoCloseable {
  /** Before the first. @param step steps done before @param total steps of the whole run */
  default void start(long step, long total) {}

  /** After every step. */
  default void step(long step, double loss, double tokensPerSecond) {}

  /** After a logging interval, whose means are given. */
  default void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {}

  /** After an evaluation on the validation data; step 0 is before training. */
  default void evaluation(long step, Evaluation evaluation) {}

  /** After a checkpoint is whole on the disk. @param directory that holds it */
  default void checkpoint(long step, Path directory) {}

  /** One line for a person. */
  default void message(String line) {}

  @Override
  default void close() {}

  /** A bar with time left on a terminal, where its library is present; else {@link #lines}. */
  static Progress on(PrintStream out) {
    return Terminal.isPresent() && OptionalLibrary.PROGRESS_BAR.isPresent() ? bar(out) : lines(out);
  }

  /** A line per interval, for logs. */
  static Progress lines(PrintStream out) {
    return new Progress() {
      private long all;

      @Override
      public void start(long step, long total) {
        all = total;
      }

      @Override
      public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {
        String line = "step %d/%d  loss %.4f  %.0f tokens/s  %.0f s left%n";
        out.printf(Locale.ROOT, line, step, all, loss, tokensPerSecond, secondsLeft);
      }

      @Override
      public void message(String line) {
        out.println(line);
      }

      @Override
      public void close() {
        out.flush();
      }
    };
  }

  /** A bar that is redrawn in place. */
  static Progress bar(PrintStream out) {
    return new Progress() {
      private ProgressBar bar;

      @Override
      public void start(long step, long total) {
        // With a width of its own the consumer opens no JLine terminal, which would take SIGINT
        // from the run: Ctrl-C would end it before its checkpoint.
        bar =
            new ProgressBarBuilder()
                .setTaskName("training")
                .setInitialMax(total)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(200)
                .setConsumer(new ConsoleProgressBarConsumer(out, Terminal.columns()))
                .startsFrom(step, Duration.ZERO)
                .build();
      }

      @Override
      public void step(long step, double loss, double tokensPerSecond) {
        String text = " loss %.3f, %.0f tokens/s";
        bar.stepTo(step);
        bar.setExtraMessage(String.format(Locale.ROOT, text, loss, tokensPerSecond));
      }

      @Override
      public void message(String line) {
        // Clears what the bar has drawn on this line; it draws itself again below.
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

  /** Ignores everything. */
  static Progress silent() {
    return new Progress() {};
  }
}
