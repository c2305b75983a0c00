package dev.performer.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Turns failures into one line on stderr and an exit code.
 *
 * @param verbose a stack trace follows
 * @param json an object with the key {@code error} goes to stdout, too
 */
record Failures(boolean verbose, boolean json) {
  static final int FAILED = 1;
  static final int WRONG_USAGE = 2;

  /** Also where the arguments cannot be parsed, their options count. */
  static Failures of(String... args) {
    List<String> given = List.of(args);
    return new Failures(given.contains("--verbose"), given.contains("--json"));
  }

  /** What went wrong while parsing the arguments: exit code 2. */
  int wrongUsage(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    print(command, "%s%s; see ./%s --help".formatted(oneLine(e.getMessage()), hint(e), name));
    return WRONG_USAGE;
  }

  /**
   * What went wrong while a command ran: exit code 1, or 2 where the command found its arguments to
   * contradict each other.
   */
  int report(Throwable failure, CommandLine command) {
    if (failure instanceof ParameterException usage) {
      return wrongUsage(usage, new String[0]);
    }
    String message = describe(failure);
    if (failure instanceof PerformerException known) {
      message = withOption(message + options(known, message, command));
    }
    print(command, message);
    if (verbose) {
      PrintWriter err = command.getErr();
      failure.printStackTrace(err);
      err.flush();
    }
    return failure instanceof UsageException ? WRONG_USAGE : FAILED;
  }

  private void print(CommandLine command, String message) {
    PrintWriter err = command.getErr();
    err.println("performer: " + message);
    err.flush();
    if (json) {
      PrintWriter out = command.getOut();
      out.println(JsonNodeFactory.instance.objectNode().put("error", message));
      out.flush();
    }
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
      return "TensorFlow ran out of memory or disk: %s; use a smaller batch or length"
          .formatted(oneLine(failure.getMessage()));
    }
    return "unexpected " + name + ": " + oneLine(failure.getMessage()) + " (--verbose shows where)";
  }

  /** The command's options that set what a failure depends on, but those the message has. */
  private static String options(PerformerException failure, String message, CommandLine command) {
    List<String> options =
        failure.settings().stream()
            .map(setting -> setting.split("=", 2))
            .filter(setting -> command.getCommandSpec().findOption(option(setting[0])) != null)
            .filter(setting -> !message.contains(option(setting[0])))
            .map(setting -> option(setting[0]) + (setting.length > 1 ? " " + setting[1] : ""))
            .toList();
    return options.isEmpty() ? "" : " (" + String.join(", ", options) + ")";
  }

  /** A setting that stands first is the option's own value. */
  private static String withOption(String message) {
    return message.replaceFirst("^setting (.*) \\(--set\\)$", "--set $1");
  }

  private static String option(String setting) {
    return "--" + setting.replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
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
