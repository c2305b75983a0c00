package dev.performer.cli;

import dev.performer.Terminal;
import java.util.Set;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Help as wide as the terminal, its paragraphs wrapped once, with the defaults of options. */
final class HelpLayout extends Help {
  private static final int NARROWEST = 60;
  private static final int WIDEST = 120;
  private static final Set<String> NO_DEFAULT = Set.of("null", "[]");

  HelpLayout(CommandSpec command, ColorScheme colours) {
    super(command, colours);
    var usage = command.usageMessage();
    usage.width(Math.max(NARROWEST, Math.min(Terminal.columns(), WIDEST)));
    usage.description(paragraphs(usage.description()));
  }

  @Override
  public IOptionRenderer createDefaultOptionRenderer() {
    IOptionRenderer renderer = super.createDefaultOptionRenderer();
    return (option, labels, colours) -> renderer.render(withDefault(option), labels, colours);
  }

  /** Appends the default of an option that takes a value, unless the description mentions one. */
  private static OptionSpec withDefault(OptionSpec option) {
    String description = String.join(" ", option.description());
    String stated = option.defaultValueString();
    String value = option.typeInfo().isEnum() ? OptionValues.label(stated) : stated;
    if (option.arity().max() == 0 || NO_DEFAULT.contains(value) || description.contains("efault")) {
      return option;
    }
    String with = "%s (default: %s).".formatted(description.replaceFirst("\\.$", ""), value);
    return OptionSpec.builder(option).description(with).build();
  }

  /** Lines of the source that end within a sentence are joined with the next. */
  static String[] paragraphs(String... lines) {
    return String.join("\n", lines).replaceAll("(?<=[^.:\n])\n", " ").split("\n", -1);
  }
}
