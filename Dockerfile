# The command line and the server in a container:
#   docker build -t performer .
#   docker run --rm -p 8501:8501 -p 8500:8500 -v "$PWD/models/protein:/models/model:ro" performer   # serves it as 'model'
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" -e HOME=/tmp performer inspect family-model
FROM maven:3.9-eclipse-temurin-17 AS build
WORKDIR /performer
COPY pom.xml .
COPY src/main src/main
RUN mvn -q -B -DskipTests compile jar:jar@launcher dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib \
    && mv target/launcher/performer-*-launcher.jar lib/performer.jar

FROM eclipse-temurin:17-jre
# The JDK draws the letters of charts with the system's fonts.
RUN apt-get update -q && apt-get install -q -y --no-install-recommends fontconfig fonts-dejavu-core && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 performer
COPY --from=build --chown=performer /performer/lib /opt/performer/lib
COPY performer /opt/performer/
COPY savedmodels/protein-mlm/saved_model /opt/performer/savedmodels/protein-mlm/saved_model
USER performer
# Unpacks TensorFlow and archives the classes that a command loads, so that a container is ready in seconds.
RUN /opt/performer/performer inspect /opt/performer/savedmodels/protein-mlm/saved_model >/dev/null
WORKDIR /work
EXPOSE 8501 8500
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8501 && printf 'GET /ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200'"]
ENTRYPOINT ["/opt/performer/performer"]
CMD ["serve", "model=/models/model", "--host", "0.0.0.0"]
