package dev.performer.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;

/** The commands. A call gets those that it needs: the options of all take a quarter of a second. */
final class Commands {
  private static final List<Class<?>> ALL =
      List.of(
          QuickstartCommand.class,
          InspectCommand.class,
          ImportCommand.class,
          AttendCommand.class,
          AttentionCommand.class,
          TrainCommand.class,
          ReproduceCommand.class,
          FineTuneCommand.class,
          EvaluateCommand.class,
          PredictCommand.class,
          GenerateCommand.class,
          EmbedCommand.class,
          ScoreCommand.class,
          ServeCommand.class,
          ExportCommand.class,
          ConvertCommand.class,
          ApproximateCommand.class,
          BenchCommand.class,
          DevicesCommand.class,
          Main.Completion.class,
          HelpCommand.class);

  private static final List<Class<?>> OF_ALL = List.of(Main.Completion.class, HelpCommand.class);

  private Commands() {}

  /** Adds commands by the call's first argument. @return whether they have their options */
  static boolean add(CommandLine line, String... args) {
    String first = args.length == 0 ? "" : args[0];
    if (args.length == 1 && List.of("-V", "--version").contains(first)) {
      return false;
    }
    if (args.length == 1 && List.of("-h", "--help").contains(first)) {
      ALL.forEach(type -> line.addSubcommand(name(type), listed(type)));
      return false;
    }
    var named = ALL.stream().filter(type -> name(type).equals(first)).findFirst();
    if (named.isPresent() && !OF_ALL.contains(named.get())) {
      line.addSubcommand(first, new CommandLine(named.get()));
    } else {
      ALL.forEach(type -> line.addSubcommand(name(type), new CommandLine(type)));
    }
    return true;
  }

  private static String name(Class<?> type) {
    return type.getAnnotation(Command.class).name();
  }

  /** What the list of commands shows. */
  private static CommandSpec listed(Class<?> type) {
    Command command = type.getAnnotation(Command.class);
    CommandSpec spec = CommandSpec.create().name(command.name());
    spec.usageMessage().header(command.header()).description(command.description());
    return spec;
  }
}
