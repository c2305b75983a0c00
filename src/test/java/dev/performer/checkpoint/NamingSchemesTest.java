package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class NamingSchemesTest {
  private static final Path MAIN = Path.of("src/main/java");

  @Test
  void aNamingSchemeIsItsOwnClassAndAnEntryInTheList() throws IOException {
    List<String> schemes = new ArrayList<>();
    List<Path> sources;
    try (Stream<Path> files = Files.walk(MAIN)) {
      sources = files.filter(f -> f.toString().endsWith(".java")).toList();
    }
    for (Path file : sources) {
      if (Files.readString(file).contains(" implements NamingScheme {")) {
        schemes.add(file.getFileName().toString());
      }
    }
    assertThat(schemes).hasSizeGreaterThan(NamingScheme.labels().size()); // and mapping files
    for (String scheme : schemes) {
      Pattern name = Pattern.compile("\\b" + scheme.replace(".java", "") + "\\b");
      List<String> naming = new ArrayList<>();
      for (Path file : sources) {
        if (name.matcher(Files.readString(file)).find()) {
          naming.add(file.getFileName().toString());
        }
      }
      assertThat(naming).containsExactlyInAnyOrder(scheme, "NamingScheme.java");
    }
  }
}
