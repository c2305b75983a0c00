package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * One run of the command line inside the test's JVM.
 *
 * @param exitCode 0, 1 or 2
 * @param out what went to stdout
 * @param err what went to stderr
 */
public record CommandLineRun(int exitCode, String out, String err) {

  public static synchronized CommandLineRun of(Object... arguments) {
    String[] args = new String[arguments.length];
    for (int i = 0; i < args.length; i++) {
      args[i] = arguments[i].toString();
    }
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream newOut = new ByteArrayOutputStream();
    ByteArrayOutputStream newErr = new ByteArrayOutputStream();
    System.setOut(new PrintStream(newOut, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(newErr, true, StandardCharsets.UTF_8));
    try {
      int exitCode = Main.execute(args);
      System.out.flush();
      System.err.flush();
      return new CommandLineRun(
          exitCode,
          newOut.toString(StandardCharsets.UTF_8),
          newErr.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  /** The run went well. */
  public CommandLineRun done() {
    assertThat(exitCode).as(err).isZero();
    return this;
  }

  /** The run failed with one line that holds all these parts, and with no stack trace. */
  public CommandLineRun failed(int code, String... parts) {
    assertThat(exitCode).as(out + err).isEqualTo(code);
    String[] lines = err.strip().split("\n");
    String last = lines[lines.length - 1];
    assertThat(last).startsWith("performer: ");
    for (String part : parts) {
      assertThat(last).contains(part);
    }
    assertThat(err).doesNotContain("\tat ");
    return this;
  }

  /** The JSON object on the last line of stdout. */
  public JsonNode json() {
    String[] lines = out.strip().split("\n");
    try {
      return new ObjectMapper().readTree(lines[lines.length - 1]);
    } catch (IOException e) {
      throw new AssertionError("no JSON at the end of: " + out, e);
    }
  }
}
