package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.graph.CudaLibraries;
import dev.performer.study.BenchmarkedAttention;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The command line: {@code ./performer COMMAND}. Exit codes: 0 done, 1 failed, 2 wrong usage. */
@Command(
    name = "performer",
    description = "Google's Performer (FAVOR+ linear attention) in TensorFlow Java.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      QuickstartCommand.class,
      InspectCommand.class,
      ImportCommand.class,
      AttendCommand.class,
      TrainCommand.class,
      ReproduceCommand.class,
      FineTuneCommand.class,
      EvaluateCommand.class,
      PredictCommand.class,
      GenerateCommand.class,
      EmbedCommand.class,
      ScoreCommand.class,
      ExportCommand.class,
      ConvertCommand.class,
      ApproximateCommand.class,
      BenchCommand.class,
    },
    footer = {"", "Exit codes: 0 done, 1 failed (one line says why), 2 wrong usage."})
public final class Main implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing");
  }

  /** Runs the command line and ends the JVM with its exit code. */
  public static void main(String[] args) {
    useLauncherStderr();
    CudaLibraries.preload();
    System.exit(execute(args));
  }

  /**
   * The launcher filters TensorFlow's start-up notes out of file descriptor 2 and passes the real
   * stderr as another.
   */
  private static void useLauncherStderr() {
    String path = System.getenv("PERFORMER_STDERR");
    if (path != null) {
      try {
        System.setErr(new PrintStream(new FileOutputStream(path), true));
      } catch (IOException e) {
        // A socket cannot be opened by path: descriptor 2 stays in use, filtered.
      }
    }
  }

  /**
   * Runs the command line in this JVM.
   *
   * @return the exit code: 0, 1 or 2
   */
  public static int execute(String... args) {
    CommandLine commandLine = new CommandLine(new Main());
    commandLine.setCaseInsensitiveEnumValuesAllowed(true);
    label(commandLine, Kernel.class, Kernel::of);
    label(commandLine, Convention.class, Convention::of);
    label(commandLine, BenchmarkedAttention.class, BenchmarkedAttention::of);
    label(commandLine, Projection.Directions.class, Projection.Directions::of);
    label(commandLine, Projection.Lengths.class, Projection.Lengths::of);
    commandLine.registerConverter(Path.class, Main::path);
    commandLine.setOverwrittenOptionsAllowed(true); // the last one counts, so scripts can append
    commandLine.setParameterExceptionHandler(Failures::wrongUsage);
    commandLine.setExecutionExceptionHandler(
        (failure, command, parsed) ->
            Failures.report(failure, command, List.of(args).contains("--verbose")));
    try {
      return commandLine.execute(args);
    } catch (OutOfMemoryError | StackOverflowError e) {
      return Failures.report(e, commandLine, List.of(args).contains("--verbose"));
    }
  }

  private static Path path(String text) {
    if (text.isBlank()) {
      throw new TypeConversionException("the path is empty");
    }
    return Path.of(text);
  }

  /** Options of a type are given by its labels; a wrong one is wrong usage. */
  private static <T> void label(CommandLine commandLine, Class<T> type, Function<String, T> of) {
    commandLine.registerConverter(
        type,
        label -> {
          try {
            return of.apply(label);
          } catch (PerformerException e) {
            throw new TypeConversionException(e.getMessage());
          }
        });
  }

  /** Name and version from the jar's manifest. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Main.class.getPackage().getImplementationVersion();
      return new String[] {
        "Performer for Java " + (version == null ? "(development build)" : version),
        "JDK " + System.getProperty("java.version")
      };
    }
  }
}
