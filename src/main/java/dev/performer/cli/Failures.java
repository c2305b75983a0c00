package dev.performer.cli;

import dev.performer.PerformerException;
import java.io.PrintWriter;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** Turns failures into one line on stderr and an exit code. */
final class Failures {
  static final int FAILED = 1;
  static final int WRONG_USAGE = 2;

  private Failures() {}

  /** What went wrong while parsing the arguments: exit code 2. */
  static int wrongUsage(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    PrintWriter err = command.getErr();
    err.println(
        "performer: "
            + oneLine(e.getMessage())
            + hint(e)
            + "; see ./"
            + command.getCommandSpec().qualifiedName()
            + " --help");
    return WRONG_USAGE;
  }

  /**
   * What went wrong while a command ran: exit code 1, or 2 where the command found its arguments to
   * contradict each other.
   */
  static int report(Throwable failure, CommandLine command, boolean verbose) {
    if (failure instanceof ParameterException usage) {
      return wrongUsage(usage, new String[0]);
    }
    PrintWriter err = command.getErr();
    err.println("performer: " + describe(failure));
    if (verbose) {
      failure.printStackTrace(err);
    }
    err.flush();
    return failure instanceof UsageException ? WRONG_USAGE : FAILED;
  }

  private static String describe(Throwable failure) {
    if (failure instanceof PerformerException known) {
      return known.lines().stream()
          .map(line -> (line.startsWith("  ") ? "  " : "") + oneLine(line))
          .collect(Collectors.joining(System.lineSeparator()));
    }
    if (failure instanceof OutOfMemoryError) {
      return "out of Java memory; raise it with PERFORMER_HEAP=8g in the environment, or use a smaller batch or length";
    }
    String name = failure.getClass().getSimpleName();
    if (name.equals("TFResourceExhaustedException")) {
      return "TensorFlow ran out of memory or disk: "
          + oneLine(failure.getMessage())
          + "; use a smaller batch or length";
    }
    return "unexpected " + name + ": " + oneLine(failure.getMessage()) + " (--verbose shows where)";
  }

  private static String hint(ParameterException e) {
    if (e instanceof UnmatchedArgumentException unmatched
        && !unmatched.getSuggestions().isEmpty()) {
      return "; did you mean " + String.join(" or ", unmatched.getSuggestions()) + "?";
    }
    return "";
  }

  static String oneLine(String message) {
    return message == null ? "no message" : message.strip().replaceAll("\\s*\\R\\s*", " ");
  }
}
