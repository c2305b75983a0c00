package dev.performer.cli;

import dev.performer.Terminal;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Model.UsageMessageSpec;

/** Help as wide as the terminal, its paragraphs wrapped once. */
final class HelpLayout {
  private static final int NARROWEST = 60;
  private static final int WIDEST = 120;

  private HelpLayout() {}

  /** Applies to a command and those below it. */
  static void apply(CommandLine command) {
    command.setUsageHelpWidth(Math.max(NARROWEST, Math.min(Terminal.columns(), WIDEST)));
    UsageMessageSpec usage = command.getCommandSpec().usageMessage();
    usage.description(paragraphs(usage.description()));
    command.getSubcommands().values().forEach(HelpLayout::apply);
  }

  /** Lines of the source that end within a sentence are joined with the next. */
  static String[] paragraphs(String... lines) {
    List<String> result = new ArrayList<>();
    boolean open = false;
    for (String line : lines) {
      if (open) {
        result.set(result.size() - 1, result.get(result.size() - 1) + " " + line);
      } else {
        result.add(line);
      }
      open = !line.isEmpty() && !line.endsWith(".") && !line.endsWith(":");
    }
    return result.toArray(String[]::new);
  }
}
