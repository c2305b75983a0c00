package dev.performer.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintStream;
import picocli.CommandLine.Option;

/** Options that every command has. Results go to stdout, all else to stderr. */
final class OutputOptions {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Option(
      names = "--json",
      description = "End with one JSON object on stdout; everything else goes to stderr.")
  boolean json;

  @Option(names = "--verbose", description = "Show a stack trace when something fails.")
  boolean verbose;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help and exit.")
  private boolean help;

  /** Where a person's text goes: stdout, or stderr where stdout is for JSON. */
  PrintStream text() {
    return json ? System.err : System.out;
  }

  /** Prints the machine's result as one line, where it is requested. */
  void printJson(Object result) {
    if (json) {
      try {
        System.out.println(JSON.writeValueAsString(result));
      } catch (JsonProcessingException e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
