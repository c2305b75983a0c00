package dev.performer.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
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
  int wrongUsage(ParameterException e, String... args) {
    CommandLine command = e.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    print(command, "%s%s; see ./%s --help".formatted(Excerpt.line(e.getMessage()), hint(e), name));
    return WRONG_USAGE;
  }

  /** What went wrong while a command ran: exit code 1, or 2 where its arguments are wrong. */
  int report(Throwable failure, CommandLine command) {
    if (failure instanceof ParameterException usage) {
      return wrongUsage(usage);
    }
    print(command, describe(failure, command));
    if (verbose) {
      failure.printStackTrace(command.getErr());
      command.getErr().flush();
    }
    return failure instanceof PerformerCommand.UsageException ? WRONG_USAGE : FAILED;
  }

  private void print(CommandLine command, String message) {
    command.getErr().println("performer: " + message);
    command.getErr().flush();
    if (json) {
      command.getOut().println(JsonNodeFactory.instance.objectNode().put("error", message));
      command.getOut().flush();
    }
  }

  private static String describe(Throwable failure, CommandLine command) {
    if (failure instanceof PerformerException known) {
      String message = String.join(System.lineSeparator(), known.lines());
      // A setting that stands first is the option's own value.
      return (message + options(known, message, command))
          .replaceFirst("^setting (.*) \\(--set\\)$", "--set $1");
    }
    if (failure instanceof OutOfMemoryError) {
      return "out of Java memory; raise it with PERFORMER_HEAP=8g in the environment, or use a smaller batch or length";
    }
    String name = failure.getClass().getSimpleName();
    String message = Excerpt.line(failure.getMessage());
    return name.equals("TFResourceExhaustedException")
        ? "TensorFlow ran out of memory or disk: " + message + "; use a smaller batch or length"
        : "unexpected " + name + ": " + message + " (--verbose shows where)";
  }

  /** The command's options that set what a failure depends on, but those the message has. */
  private static String options(PerformerException failure, String message, CommandLine command) {
    String options =
        failure.settings().stream()
            .filter(setting -> command.getCommandSpec().findOption(option(setting)) != null)
            .filter(setting -> !message.contains(option(setting)))
            .map(setting -> setting.replaceFirst("[^=]*=?", option(setting) + " ").strip())
            .collect(Collectors.joining(", "));
    return options.isEmpty() ? "" : " (" + options + ")";
  }

  /** Of a setting such as {@code length=64}. */
  private static String option(String setting) {
    String name = setting.split("=", 2)[0];
    return "--" + name.replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
  }

  private static String hint(ParameterException e) {
    return e instanceof UnmatchedArgumentException unmatched
            && !unmatched.getSuggestions().isEmpty()
        ? "; did you mean " + String.join(" or ", unmatched.getSuggestions()) + "?"
        : "";
  }
}
