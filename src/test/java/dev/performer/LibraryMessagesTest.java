package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A Java program has no command line: what the library tells it names no option of one. */
class LibraryMessagesTest {
  private static final Path MAIN = Path.of("src/main/java/dev/performer");
  private static final Pattern FLAG = Pattern.compile("\"[^\"]*(?<![\\w-])--[a-z][^\"]*\"");

  @Test
  void onlyTheCommandLineNamesItsOptions() throws IOException {
    List<String> found = new ArrayList<>();
    try (Stream<Path> files = Files.walk(MAIN)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".java")).sorted().toList()) {
        if (!file.startsWith(MAIN.resolve("cli"))) {
          List<String> lines = Files.readAllLines(file);
          for (int i = 0; i < lines.size(); i++) {
            if (FLAG.matcher(lines.get(i)).find()) {
              found.add(file + ":" + (i + 1) + " " + lines.get(i).strip());
            }
          }
        }
      }
    }
    assertThat(found).isEmpty();
  }
}
