package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A small study through the command line: table, JSON, plot, and a typo. */
class ApproximateCommandTest {
  private String out = "";

  private int run(String... arguments) {
    Object[] all = new Object[arguments.length + 1];
    all[0] = "approximate";
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    CommandLineRun run = CommandLineRun.of(all);
    out = run.out();
    return run.exitCode();
  }

  @Test
  void printsATableAndDrawsIt(@TempDir Path directory) throws Exception {
    Path plot = directory.resolve("new/plot.png");
    assertThat(
            run(
                "--length=64",
                "--draws=2",
                "--features=16,32",
                "--kernels=softmax,hyperbolic",
                "--projections=orthogonal",
                "--row-lengths=chi",
                "--plot=" + plot))
        .isZero();
    assertThat(out.lines()).hasSize(4).allMatch(line -> line.startsWith("|"));
    assertThat(ImageIO.read(plot.toFile()).getWidth()).isEqualTo(1000);
  }

  @Test
  void printsOneJsonObject() throws Exception {
    assertThat(
            run(
                "--length=64",
                "--draws=2",
                "--features=16",
                "--kernels=favor++",
                "--projections=iid",
                "--row-lengths=chi",
                "--json"))
        .isZero();
    JsonNode root = new ObjectMapper().readTree(out);
    assertThat(root.get("rows")).hasSize(1);
    assertThat(root.get("rows").get(0).get("error").asDouble()).isPositive().isLessThan(2);
  }

  @Test
  void aTypoIsAFailureThatNamesTheNearest() {
    CommandLineRun.of("approximate", "--kernels=hyperbollic")
        .failed(2, "did you mean 'hyperbolic'");
  }
}
