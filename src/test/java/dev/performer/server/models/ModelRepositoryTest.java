package dev.performer.server.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.AtomicFiles;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelConfig.Served;
import dev.performer.server.models.ModelStatus.State;
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
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
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
  void waitsForTheFirstVersion() throws IOException {
    Files.createDirectory(folder.resolve("m"));
    Files.createDirectory(folder.resolve("m/notes"));
    open(new Policy.Latest(1));
    assertThat(repository.failures()).isEmpty();
    assertThat(repository.isReady()).isFalse();
    assertThatThrownBy(() -> repository.status("m")).isInstanceOf(NotFoundException.class);
    assertThat(lines).anyMatch(line -> line.contains("has no version yet"));
    copy(5);
    repository.look();
    repository.look();
    assertThat(latest()).isEqualTo(5);
    assertThat(repository.isReady()).isTrue();
  }

  @Test
  void followsLinksToVersions() throws IOException {
    copy(10);
    copy(11);
    Files.createDirectory(folder.resolve("linked"));
    Path link = folder.resolve("linked/1");
    Files.createSymbolicLink(link, folder.resolve("m/10"));
    var served = new Served("m", folder.resolve("linked"), new Policy.All(), Map.of());
    open(new ModelConfig(List.of(served)), RepositoryOptions.DEFAULT);
    ServedModel first = model();
    repository.look();
    assertThat(model()).isSameAs(first);
    Files.delete(link);
    Files.createSymbolicLink(link, folder.resolve("m/11"));
    repository.look();
    repository.look();
    assertThat(model()).isNotSameAs(first);
  }

  @Test
  void servesWhileVersionsComeAndGo() throws Exception {
    copy(1);
    open(new Policy.Latest(1));
    var isOver = new AtomicBoolean();
    var requests = new AtomicInteger();
    ExecutorService clients = Executors.newFixedThreadPool(4);
    List<Future<?>> calls = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      calls.add(
          clients.submit(
              () -> {
                while (!isOver.get()) {
                  try (Lease lease = repository.lease("m", Version.LATEST)) {
                    var outputs = lease.model().predict("serving_default", inputs(lease.model()));
                    assertThat(outputs).isNotEmpty();
                    requests.incrementAndGet();
                  }
                }
                return null;
              }));
    }
    for (long version = 2; version < 12; version++) {
      copy(version);
      repository.look();
      repository.look();
      AtomicFiles.delete(folder.resolve("m/" + (version - 1)));
      repository.look();
    }
    isOver.set(true);
    for (Future<?> call : calls) {
      call.get();
    }
    clients.shutdown();
    assertThat(requests).hasPositiveValue();
    assertThat(latest()).isEqualTo(11);
    assertThat(states()).allMatch(state -> state.equals("11 AVAILABLE") || state.endsWith("END"));
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
        .hasMessage("Unrecognized servable version label: other");
    var inside = new Served("again", base, both, Map.of());
    repository.reloadWithin(new ModelConfig(List.of(inside)));
    assertThat(repository.names()).containsExactly("again");
    var outside = new Served("m", folder, both, Map.of());
    assertThatThrownBy(() -> repository.reloadWithin(new ModelConfig(List.of(outside))))
        .hasMessageContaining("is no folder that this server was started with");
    var missing = new Served("n", folder.resolve("none"), both, Map.of());
    assertThatThrownBy(() -> repository.reload(new ModelConfig(List.of(missing))))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("n: ");
    assertThat(repository.names()).containsExactly("n");
  }

  @Test
  void readsAConfigurationAgainWhenItsFileChanges() throws IOException {
    copy(1);
    copy(2);
    String text =
        "model_config_list { config { name: '%s' base_path: 'm' model_version_policy { all {} } } }";
    Path file = Files.writeString(folder.resolve("models.config"), text.formatted("first"));
    open(ModelConfig.read(file), RepositoryOptions.DEFAULT);
    assertThat(repository.names()).containsExactly("first");
    Files.writeString(file, text.formatted("another"));
    repository.look();
    assertThat(repository.names()).containsExactly("another");
    assertThat(repository.status("another")).hasSize(2);
    Files.writeString(file, "model_config_list { config {");
    repository.look();
    repository.look();
    assertThat(repository.names()).containsExactly("another");
    assertThat(lines).filteredOn(line -> line.contains("the end of the file")).hasSize(1);
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
    repository.look();
    assertThat(lines).filteredOn(line -> line.contains("MB are taken")).hasSize(1);
    var one = new Policy.Specific(Set.of(1L));
    var first = new Served("a", folder.resolve("m"), one, Map.of());
    var second = new Served("m", folder.resolve("m"), one, Map.of());
    assertThatThrownBy(() -> repository.reload(new ModelConfig(List.of(first, second))))
        .hasMessageContaining("a: Specific(a, 1) needs 1 MB");
    repository.reload(new ModelConfig(List.of(first)));
    assertThat(repository.status("a").get(0).state()).isEqualTo(State.AVAILABLE);
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
    open(new ModelConfig(List.of(served)), options);
  }

  private void open(ModelConfig config, RepositoryOptions options) {
    repository = ModelRepository.open(config, options.withPoll(Duration.ZERO).withLog(lines::add));
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
