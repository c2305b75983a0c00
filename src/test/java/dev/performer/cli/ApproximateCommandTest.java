package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** A small study through the command line: table, JSON, plot, and a typo. */
class ApproximateCommandTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    return new CommandLine(new ApproximateCommand())
        .setOut(new PrintWriter(out))
        .setErr(new PrintWriter(err))
        .execute(arguments);
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
    assertThat(out.toString().lines()).hasSize(4).allMatch(line -> line.startsWith("|"));
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
    JsonNode root = new ObjectMapper().readTree(out.toString());
    assertThat(root.get("rows")).hasSize(1);
    assertThat(root.get("rows").get(0).get("error").asDouble()).isPositive().isLessThan(2);
  }

  @Test
  void aTypoIsAFailureThatNamesTheNearest() {
    assertThat(run("--kernels=hyperbollic")).isNotZero();
    assertThat(err.toString()).contains("did you mean 'hyperbolic'");
  }
}
