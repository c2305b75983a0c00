package dev.performer.server.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.AtomicFiles;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelConfig.Served;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelRepositoryTest {
  private static final Path MODEL = Path.of("savedmodels/reference/gr_softmax_P_bidir/saved_model");

  @TempDir Path folder;
  private final List<String> lines = Collections.synchronizedList(new ArrayList<>());
  private ModelRepository repository;

  @AfterEach
  void close() {
    if (repository != null) {
      repository.close();
    }
  }

  @Test
  void servesTheNewestWholeVersionThatIsThereAtTheStart() throws IOException {
    copy(1);
    copy(2);
    Files.createDirectories(folder.resolve("m/3/variables")); // a copy that a kill ended
    Files.copy(graph(MODEL), graph(folder.resolve("m/3")));
    open(new Policy.Latest(1));
    assertThat(latest()).isEqualTo(2);
    assertThat(states()).containsExactly("3 END", "2 AVAILABLE");
    assertThat(lines).anyMatch(line -> line.contains("version 3") && line.contains("variables"));
  }

  @Test
  void loadsANewVersionBeforeTheOldGoes() throws IOException {
    copy(1);
    open(new Policy.Latest(1));
    Lease old = repository.lease("m", Version.LATEST);
    copy(2);
    repository.look();
    assertThat(states()).containsExactly("2 START", "1 AVAILABLE");
    repository.look();
    assertThat(states()).containsExactly("2 AVAILABLE", "1 UNLOADING");
    assertThat(old.model().predict("serving_default", inputs(old.model()))).isNotEmpty();
    old.close();
    old.close();
    assertThat(states()).containsExactly("2 AVAILABLE", "1 END");
    assertThatThrownBy(() -> repository.lease("m", Version.of(1)))
        .isInstanceOf(NotFoundException.class)
        .hasMessage("Servable not found for request: Specific(m, 1)");
  }

  @Test
  void keepsTheLastWholeVersionBesideBrokenOnes() throws IOException {
    copy(1);
    open(new Policy.Latest(1));
    Files.createDirectory(folder.resolve("m/2"));
    Files.write(graph(folder.resolve("m/2")), new byte[] {1, 2, 3});
    for (int i = 0; i < 5; i++) {
      repository.look();
    }
    assertThat(latest()).isEqualTo(1);
    assertThat(lines.stream().filter(line -> line.contains("version 2"))).hasSize(1);
    AtomicFiles.delete(folder.resolve("m/1"));
    repository.look();
    assertThat(latest()).isEqualTo(1);
    AtomicFiles.delete(folder.resolve("m/2"));
    copy(2);
    repository.look();
    repository.look();
    assertThat(latest()).isEqualTo(2);
    assertThat(states()).containsExactly("2 AVAILABLE", "1 END");
  }

  @Test
  void unloadsWhatIsRemoved() throws IOException {
    copy(1);
    copy(2);
    open(new Policy.All());
    assertThat(states()).containsExactly("2 AVAILABLE", "1 AVAILABLE");
    AtomicFiles.delete(folder.resolve("m/2"));
    repository.look();
    assertThat(latest()).isEqualTo(1);
    AtomicFiles.delete(folder.resolve("m/1"));
    repository.look();
    assertThat(repository.isReady()).isFalse();
    AtomicFiles.delete(folder.resolve("m"));
    repository.look();
    assertThatThrownBy(() -> repository.lease("m", Version.LATEST))
        .hasMessage("Servable not found for request: Latest(m)");
    assertThat(lines).filteredOn(line -> line.contains("folder")).hasSize(1);
  }

  @Test
  void exchangesAModelThatIsReplacedInPlace() throws IOException {
    copy(1);
    open(new Policy.Latest(1));
    ServedModel first = model();
    Path card = Files.createDirectories(folder.resolve("m/1/assets.extra"));
    Files.writeString(card.resolve("note.txt"), "new");
    repository.look();
    assertThat(model()).isSameAs(first);
    repository.look();
    assertThat(model()).isNotSameAs(first);
    assertThat(states()).containsExactly("1 AVAILABLE");
    Files.delete(folder.resolve("m/1/saved_model.pb"));
    repository.look();
    repository.look();
    assertThat(latest()).isEqualTo(1);
  }

  @Test
  void takesOnAnotherConfiguration() throws IOException {
    copy(1);
    copy(2);
    Path base = folder.resolve("m");
    open(new Policy.Specific(Set.of(1L)));
    assertThat(latest()).isEqualTo(1);
    var both = new Policy.Specific(Set.of(1L, 2L));
    Map<String, Long> labels = Map.of("stable", 1L, "canary", 2L);
    repository.reload(new ModelConfig(List.of(new Served("m", base, both, labels))));
    try (Lease canary = repository.lease("m", Version.label("canary"))) {
      assertThat(canary.model().version()).isEqualTo(2);
    }
    assertThatThrownBy(() -> repository.lease("m", Version.label("other")))
        .isInstanceOf(NotFoundException.class);
    var missing = new Served("n", folder.resolve("none"), both, Map.of());
    assertThatThrownBy(() -> repository.reload(new ModelConfig(List.of(missing))))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("n: ");
    assertThat(repository.names()).containsExactly("n");
  }

  @Test
  void refusesWhatExceedsTheMemoryAllowed() throws IOException {
    copy(1);
    copy(2);
    long bytes = VersionFolder.Content.of(folder.resolve("m/1")).bytes();
    open(new Policy.All(), RepositoryOptions.DEFAULT.withMostBytes(bytes + 10));
    assertThat(states()).containsExactly("2 AVAILABLE", "1 END");
    assertThat(repository.status("m").get(1).code().number()).isEqualTo(8);
    assertThat(repository.status("m").get(1).error()).contains("MB are taken");
  }

  @Test
  void aPathOnTheCommandLineNamesAModel() throws IOException {
    copy(7);
    var config = ModelConfig.of(List.of("own=" + MODEL, "" + folder.resolve("m/7"), "" + MODEL));
    assertThat(config.models().stream().map(Served::name))
        .containsExactly("own", "m", "gr_softmax_P_bidir");
    assertThatThrownBy(() -> ModelConfig.of(List.of("x=/no/such/place")))
        .hasMessage("/no/such/place does not exist");
    assertThatThrownBy(() -> ModelConfig.of(List.of("a=" + MODEL, "a=" + MODEL)))
        .hasMessageContaining("two models have the name a");
  }

  private void open(Policy policy) {
    open(policy, RepositoryOptions.DEFAULT);
  }

  private void open(Policy policy, RepositoryOptions options) {
    var served = new Served("m", folder.resolve("m"), policy, Map.of());
    repository =
        ModelRepository.open(
            new ModelConfig(List.of(served)), options.withPoll(Duration.ZERO).withLog(lines::add));
    repository.awaitLoaded();
  }

  private void copy(long version) throws IOException {
    Path to = Files.createDirectories(folder.resolve("m/" + version));
    try (var files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path copy = to.resolve(MODEL.relativize(file));
        Files.createDirectories(copy.getParent());
        Files.copy(file, copy);
      }
    }
  }

  private static Path graph(Path model) {
    return model.resolve("saved_model.pb");
  }

  private ServedModel model() {
    try (Lease lease = repository.lease("m", Version.LATEST)) {
      return lease.model();
    }
  }

  private long latest() {
    return model().version();
  }

  private List<String> states() {
    return repository.status("m").stream().map(s -> s.version() + " " + s.state()).toList();
  }

  private static Map<String, NpyArray> inputs(ServedModel model) {
    Map<String, NpyArray> inputs = new HashMap<>();
    for (var input : model.model().signatures().get("serving_default").inputs().values()) {
      long[] shape = input.shape().asArray();
      int size = 1;
      for (int i = 0; i < shape.length; i++) {
        shape[i] = Math.max(1, shape[i]);
        size *= (int) shape[i];
      }
      inputs.put(input.name(), NpyArray.of(new float[size], shape));
    }
    return inputs;
  }
}
