package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Kernel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Another kernel is one constant: no other file in main names one. */
class KernelNamesTest {
  private static final Path MAIN = Path.of("src/main/java/dev/performer");
  private static final Path KERNELS = MAIN.resolve("attention/Kernel.java");

  /** These labels are words of other things, too, such as activations of an MLP. */
  private static final List<String> OTHER_THINGS =
      List.of(
          "relu",
          "elu",
          "gelu",
          "silu",
          "tanh",
          "sigmoid",
          "exp",
          "identity",
          "square",
          "cos",
          "sin",
          "abs");

  @Test
  void onlyTheEnumNamesAKernel() throws IOException {
    String labels =
        Arrays.stream(Kernel.values())
            .map(Kernel::label)
            .filter(label -> !OTHER_THINGS.contains(label))
            .map(Pattern::quote)
            .collect(Collectors.joining("|"));
    String constants =
        Arrays.stream(Kernel.values()).map(Kernel::name).collect(Collectors.joining("|"));
    // Softmax is exact attention's word, too: as a kernel it stands alone in a string.
    String anywhere = labels.replace(Pattern.quote(Kernel.SOFTMAX.label()) + "|", "");
    Pattern name =
        Pattern.compile(
            "\\bKernel\\.(%s)\\b|\"(%s)\"|\"[^\"]*(?<![\\w-])(%s)(?![\\w-])[^\"]*\""
                .formatted(constants, labels, anywhere));
    try (Stream<Path> files = Files.walk(MAIN)) {
      List<String> found =
          files
              .filter(file -> file.toString().endsWith(".java") && !file.equals(KERNELS))
              .flatMap(file -> lines(file).filter(line -> name.matcher(line).find()))
              .toList();
      assertThat(found).isEmpty();
    }
  }

  private static Stream<String> lines(Path file) {
    try {
      return Files.readAllLines(file).stream().map(line -> file + ": " + line.strip());
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
