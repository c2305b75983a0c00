package dev.performer.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.std.ToStringSerializer;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What every command has. Results go to stdout, all else to stderr. */
abstract class PerformerCommand implements Callable<Integer> {
  /** A command that works with a model. */
  abstract static class OnModel extends PerformerCommand {
    @Parameters(
        index = "0",
        paramLabel = "MODEL",
        description = "A SavedModel, or a run directory.")
    Path model;
  }

  /** An option's value is wrong, whatever the files hold: exit code 2. */
  static final class UsageException extends PerformerException {
    private static final long serialVersionUID = 1;

    UsageException(String message) {
      super(message);
    }
  }

  @Option(names = "--json", description = "End with one JSON object on stdout, the rest on stderr.")
  boolean json;

  @Option(names = "--verbose", description = "Show a stack trace when something fails.")
  private boolean verbose;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help and exit.")
  private boolean help;

  /** Fails with a {@link UsageException} unless options have values that go together. */
  static void requireUsage(boolean sound, String format, Object... values) {
    if (!sound) {
      throw new UsageException(format.formatted(values));
    }
  }

  /** Where the launcher lives, with the shipped models and data; else the current folder. */
  static Path home() {
    return Path.of(System.getProperty("performer.home", "")).toAbsolutePath();
  }

  /** A shipped file or folder, which is there. */
  static Path shipped(String relative) {
    Path path = home().resolve(relative);
    String missing =
        "%s: missing; it is part of the repository, restore it with 'git checkout -- %s'";
    PerformerException.require(Files.exists(path), missing, path, relative);
    return path;
  }

  /** Where a person's text goes: stdout, or stderr where stdout is for JSON. */
  PrintStream text() {
    return json ? System.err : System.out;
  }

  /** Prints a line for a person. */
  void print(Object line) {
    text().println(line);
  }

  /** The same, its numbers in English. */
  void print(String format, Object... values) {
    print(format(format, values));
  }

  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  /** Writes arrays into an .npz and lists them. */
  void write(Path target, Map<String, NpyArray> arrays) {
    Npz.write(target, arrays);
    arrays.forEach((name, array) -> print(name + " " + array));
    print("Written: " + target);
  }

  /** Ends a command: the machine's result as one line, where it is requested; paths are texts. */
  int done(Object result) {
    if (json) {
      var paths = new SimpleModule().addSerializer(Path.class, ToStringSerializer.instance);
      System.out.println(
          JsonMapper.builder().addModule(paths).build().valueToTree(result).toString());
    }
    return 0;
  }
}
