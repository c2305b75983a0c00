package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Another task is two files: what it guesses, and what a recipe knows of it. */
class TaskNamesTest {
  /** Language models are named in import and export, too: they are what other programs make. */
  @ParameterizedTest
  @EnumSource(
      value = Task.class,
      names = {"CLASSIFICATION", "REGRESSION", "SEQUENCE_TO_SEQUENCE"})
  void aTaskIsTwoFiles(Task task) throws IOException {
    Pattern constant =
        Pattern.compile("\\bTask\\.%1$s\\b|\\bcase %1$s\\b|(?m)^  %1$s\\(".formatted(task));
    List<String> naming = new ArrayList<>();
    try (Stream<Path> files = Files.walk(Path.of("src/main/java"))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
        if (constant.matcher(Files.readString(file)).find()) {
          naming.add(file.getFileName().toString());
        }
      }
    }
    assertThat(naming).containsExactlyInAnyOrder("Task.java", "RecipeTask.java");
  }

  @Test
  void labelsAreThoseOfConfigurations() throws NoSuchFieldException {
    for (Task task : Task.values()) {
      String name = Task.class.getField(task.name()).getAnnotation(JsonProperty.class).value();
      assertThat(task.label()).isEqualTo(name);
    }
  }
}
