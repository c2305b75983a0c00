package dev.performer.cli;

import dev.performer.Excerpt;
import dev.performer.attention.MachineTuning;
import dev.performer.graph.CudaLibraries;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.util.Map;
import java.util.Properties;
import org.tensorflow.TensorFlow;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.RunLast;
import picocli.CommandLine.Spec;

/** The command line: {@code ./performer COMMAND}. Exit codes: 0 done, 1 failed, 2 wrong usage. */
@Command(
    name = "performer",
    description = "Google's Performer (FAVOR+ linear attention) in TensorFlow Java.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    footer = {"", "Exit codes: 0 done, 1 failed (with the reason in one line), 2 wrong usage."})
public final class Main implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing");
  }

  @Command(
      name = "completion",
      description = {
        "Print a script that completes commands and options in bash or zsh.",
        "source <(./performer completion)"
      })
  static final class Completion extends PerformerCommand {
    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
      System.out.print(AutoComplete.bash("performer", spec.root().commandLine()));
      return 0;
    }
  }

  /** Runs the command line and ends the JVM with its exit code. */
  public static void main(String[] args) {
    useLauncherStderr();
    System.exit(execute(args));
  }

  /**
   * The launcher filters TensorFlow's start-up notes out of file descriptor 2 and passes the real
   * stderr as another.
   */
  private static void useLauncherStderr() {
    String number = System.getenv("PERFORMER_STDERR");
    if (number != null) {
      try {
        // Opening it by path would give a regular file a second position, and two writers would
        // overwrite each other.
        var descriptor = FileDescriptor.class.getDeclaredConstructor(int.class);
        descriptor.setAccessible(true);
        var stderr = new FileOutputStream(descriptor.newInstance(Integer.parseInt(number)));
        System.setErr(new PrintStream(stderr, true));
      } catch (ReflectiveOperationException | RuntimeException e) {
        // The launcher opens java.io for this; without it descriptor 2 stays in use, filtered.
      }
    }
  }

  /** Runs the command line in this JVM. @return the exit code: 0, 1 or 2 */
  public static int execute(String... args) {
    CommandLine commandLine = new CommandLine(new Main());
    if (Commands.add(commandLine, args)) {
      OptionValues.register(commandLine);
    }
    commandLine.setOverwrittenOptionsAllowed(true); // the last one counts, so scripts can append
    commandLine.setHelpFactory(HelpLayout::new);
    commandLine.setExecutionStrategy(Main::run);
    Failures failures = Failures.of(args);
    commandLine.setParameterExceptionHandler(failures::wrongUsage);
    commandLine.setExecutionExceptionHandler(
        (failure, command, parsed) -> failures.report(failure, command));
    try {
      return commandLine.execute(args);
    } catch (OutOfMemoryError | StackOverflowError e) {
      return failures.report(e, commandLine);
    }
  }

  private static int run(ParseResult parsed) {
    Integer helped = CommandLine.executeHelpRequest(parsed);
    if (helped != null) {
      return helped;
    }
    CudaLibraries.preload(problem -> System.err.println("performer: " + problem));
    MachineTuning.listen(problem -> System.err.println("performer: " + problem));
    return new RunLast().execute(parsed);
  }

  /** The versions that a report of a problem needs. */
  static final class Version implements IVersionProvider {
    private static final String ARTIFACT =
        "/META-INF/maven/org.tensorflow/tensorflow-core-native/pom.properties";
    private static final Map<String, String> KNOWN = Map.of("1.1.0", "2.18.0");

    @Override
    public String[] getVersion() {
      String own = Main.class.getPackage().getImplementationVersion();
      own = own == null ? "(classes without a jar)" : own;
      String jdk = System.getProperty("java.version");
      return new String[] {"Performer for Java " + own, "TensorFlow " + tensorFlow(), "JDK " + jdk};
    }

    /** By the version of its jar, as loading it takes longer than all else. */
    private static String tensorFlow() {
      var artifact = new Properties();
      try (InputStream in = TensorFlow.class.getResourceAsStream(ARTIFACT)) {
        if (in != null) {
          artifact.load(in);
        }
        String known = KNOWN.get(artifact.getProperty("version", ""));
        return known == null ? TensorFlow.version() : known;
      } catch (IOException | LinkageError e) {
        return "cannot be loaded: " + Excerpt.line(e.getMessage());
      }
    }
  }
}
