package dev.performer.training.run;

import dev.performer.OptionalLibrary;
import java.io.Console;
import java.io.OutputStream;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Tells a person how a run goes. */
public interface Progress extends AutoCloseable {
  /**
   * @param step steps done before
   * @param total steps of the whole run
   */
  void start(long step, long total);

  /** After every step. */
  void step(long step, double loss, double tokensPerSecond);

  /** After a logging interval, whose means are given. */
  void interval(long step, double loss, double tokensPerSecond, double secondsLeft);

  /** One line. */
  void message(String line);

  @Override
  void close();

  /**
   * A progress bar with time left on a terminal, where its library is present; else a line per
   * interval.
   */
  static Progress on(PrintStream out) {
    return isTerminal() && OptionalLibrary.PROGRESS_BAR.isPresent() ? bar(out) : lines(out);
  }

  /** From JDK 22 on there is a console without a terminal, too, and a method that tells. */
  private static boolean isTerminal() {
    Console console = System.console();
    if (console == null) {
      return false;
    }
    try {
      return (boolean) Console.class.getMethod("isTerminal").invoke(console);
    } catch (ReflectiveOperationException e) {
      return true;
    }
  }

  /** A line per interval. */
  static Progress lines(PrintStream out) {
    return new Lines(out);
  }

  /** A bar that is redrawn in place. */
  static Progress bar(PrintStream out) {
    return new Bar(out);
  }

  /** Says nothing. */
  static Progress silent() {
    return new Lines(new PrintStream(OutputStream.nullOutputStream()));
  }

  /** For logs. */
  final class Lines implements Progress {
    private final PrintStream out;
    private long total;

    private Lines(PrintStream out) {
      this.out = out;
    }

    @Override
    public void start(long step, long total) {
      this.total = total;
    }

    @Override
    public void step(long step, double loss, double tokensPerSecond) {}

    @Override
    public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {
      out.printf(
          Locale.ROOT,
          "step %d/%d  loss %.4f  %.0f tokens/s  %.0f s left%n",
          step,
          total,
          loss,
          tokensPerSecond,
          secondsLeft);
    }

    @Override
    public void message(String line) {
      out.println(line);
    }

    @Override
    public void close() {
      out.flush();
    }
  }

  /** For terminals. */
  final class Bar implements Progress {
    private final PrintStream out;
    private ProgressBar bar;

    private Bar(PrintStream out) {
      this.out = out;
    }

    @Override
    public void start(long step, long total) {
      // With a width of its own the consumer opens no JLine terminal, which would take SIGINT from
      // the run: Ctrl-C would end it before its checkpoint.
      bar =
          new ProgressBarBuilder()
              .setTaskName("training")
              .setInitialMax(total)
              .setStyle(ProgressBarStyle.ASCII)
              .setUpdateIntervalMillis(200)
              .setConsumer(new ConsoleProgressBarConsumer(out, columns()))
              .startsFrom(step, Duration.ZERO)
              .build();
    }

    private static int columns() {
      String columns = System.getenv("COLUMNS");
      return columns != null && columns.matches("[1-9][0-9]{1,3}") ? Integer.parseInt(columns) : 80;
    }

    @Override
    public void step(long step, double loss, double tokensPerSecond) {
      bar.stepTo(step);
      bar.setExtraMessage(
          String.format(Locale.ROOT, " loss %.3f, %.0f tokens/s", loss, tokensPerSecond));
    }

    @Override
    public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {}

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
  }
}
