package dev.performer.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "completion",
    description = {
      "Print a script that completes commands and options in bash or zsh.",
      "source <(./performer completion)"
    })
final class CompletionCommand extends PerformerCommand {
  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    System.out.print(AutoComplete.bash("performer", spec.root().commandLine()));
    return 0;
  }
}
