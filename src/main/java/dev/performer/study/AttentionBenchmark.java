package dev.performer.study;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Time and peak memory of attention, each measured in a process of its own so that one
 * measurement's memory is not another's. Compare figures of one run only.
 */
public final class AttentionBenchmark {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long TIMEOUT_MINUTES = 10;

  /**
   * One attention at one length.
   *
   * @param attention what is measured
   * @param causal whether the future is hidden
   */
  public record Case(
      BenchmarkedAttention attention,
      boolean causal,
      int batch,
      int length,
      int heads,
      int headSize,
      int features) {
    public String label() {
      return attention.label() + (causal ? ", causal" : "");
    }
  }

  /**
   * What was measured. Times are the fastest of several runs.
   *
   * @param forwardMs milliseconds of the output alone
   * @param trainMs milliseconds of the output and the gradients of q, k and v
   * @param forwardMb peak memory above the idle session, in MB (10^6 bytes)
   * @param trainMb the same with gradients
   */
  public record Measurement(double forwardMs, double trainMs, double forwardMb, double trainMb) {}

  /** A case and its measurement; null where it needs more memory than the machine has. */
  public record Row(Case measured, Measurement measurement) {}

  private AttentionBenchmark() {}

  /**
   * Runs one case in a fork of this JVM.
   *
   * @throws PerformerException if the fork fails
   */
  public static Measurement fork(Case c) {
    List<String> arguments =
        List.of(
            c.attention.toString(),
            "" + c.causal,
            "" + c.batch,
            "" + c.length,
            "" + c.heads,
            "" + c.headSize,
            "" + c.features);
    String what = c.label() + " at L=" + c.length;
    try {
      return JSON.readValue(lastLine(BenchmarkFork.class, arguments, what), Measurement.class);
    } catch (IOException e) {
      throw new PerformerException(what + ": cannot be measured: " + e.getMessage(), e);
    }
  }

  /**
   * Runs a class in a fork of this JVM.
   *
   * @param what is measured, for errors
   * @return the last line that it prints
   * @throws PerformerException if it fails or takes too long
   */
  static String lastLine(Class<?> main, List<String> arguments, String what) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "-Xmx1g",
            "-XX:+UseSerialGC",
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
            "-cp",
            System.getProperty("java.class.path")));
    command.add(main.getName());
    command.addAll(arguments);
    try {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      process.getOutputStream().close();
      String last = null;
      try (BufferedReader out =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
        for (String line = out.readLine(); line != null; line = out.readLine()) {
          last = line;
        }
      }
      if (!process.waitFor(TIMEOUT_MINUTES, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new PerformerException(what + ": no result after " + TIMEOUT_MINUTES + " minutes");
      }
      if (process.exitValue() != 0 || last == null) {
        throw new PerformerException(
            what + ": the measuring process ended with exit code " + process.exitValue());
      }
      return last;
    } catch (IOException e) {
      throw new PerformerException(what + ": cannot be measured: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
  }

  /**
   * Bytes that exact attention needs at the least for its {@code [B, H, L, L]} matrices: the logits
   * and their softmax, twice with gradients.
   */
  public static long exactBytes(Case c) {
    return 4L * 4 * c.batch * c.heads * c.length * c.length;
  }
}
